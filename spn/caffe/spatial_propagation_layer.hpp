#ifndef CAFFE_SPATIAL_PROPAGATION_LAYER_HPP_
#define CAFFE_SPATIAL_PROPAGATION_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/proto/caffe.pb.h"

#include "propagation.hpp"

namespace caffe {

/**
 * @brief One direction of three-way spatial propagation: at each step of a scan,
 *        a gated sum of x and of the three nearest results of the step before.
 *
 * Liu et al., Learning Affinity via Spatial Propagation Networks, NIPS 2017.
 *
 * Bottoms: x (N x C x H x W), and the gates: one blob of 3 C channels (gate 1 of
 * every channel, then gate 2, then gate 3) or three blobs of C channels.  Gate 1
 * is that of the neighbour with the smaller index across the scan, gate 3 that
 * of the one with the larger.  The gates may have N = 1 where x has more: they
 * then serve every x.  Top: N x C x H x W.
 */
template <typename Dtype>
class SpatialPropagationLayer : public Layer<Dtype> {
 public:
  explicit SpatialPropagationLayer(const LayerParameter& param)
      : Layer<Dtype>(param) {}
  virtual void LayerSetUp(const vector<Blob<Dtype>*>& bottom,
      const vector<Blob<Dtype>*>& top);
  virtual void Reshape(const vector<Blob<Dtype>*>& bottom,
      const vector<Blob<Dtype>*>& top);

  virtual inline const char* type() const { return "SpatialPropagation"; }
  virtual inline int MinBottomBlobs() const { return 2; }
  virtual inline int MaxBottomBlobs() const { return 4; }
  virtual inline int ExactNumTopBlobs() const { return 1; }

 protected:
  virtual void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
      const vector<Blob<Dtype>*>& top);
  virtual void Forward_gpu(const vector<Blob<Dtype>*>& bottom,
      const vector<Blob<Dtype>*>& top);
  virtual void Backward_cpu(const vector<Blob<Dtype>*>& top,
      const vector<bool>& propagate_down, const vector<Blob<Dtype>*>& bottom);
  virtual void Backward_gpu(const vector<Blob<Dtype>*>& top,
      const vector<bool>& propagate_down, const vector<Blob<Dtype>*>& bottom);

  /// @brief Sets scan_'s direction and normalization from the layer's parameter.
  virtual void ReadParameter();
  /// @brief Where gate k begins, in the data or the diff of the gates' blobs.
  size_t GateOffset(const vector<Blob<Dtype>*>& bottom, int k) const;
  Blob<Dtype>* GateBlob(const vector<Blob<Dtype>*>& bottom, int k) const;

  spn::Scan scan_;
  /// @brief The lines that a GPU keeps where its shared memory is too small.
  Blob<Dtype> lines_;
};

/**
 * @brief The layer of the NIPS 2017 release's prototxts: x and three gates, not
 *        normalized, in a direction that `horizontal` and `reverse` tell.
 */
template <typename Dtype>
class GateRecurrent2dnoindLayer : public SpatialPropagationLayer<Dtype> {
 public:
  explicit GateRecurrent2dnoindLayer(const LayerParameter& param)
      : SpatialPropagationLayer<Dtype>(param) {}

  virtual inline const char* type() const { return "GateRecurrent2dnoind"; }
  virtual inline int ExactNumBottomBlobs() const { return 4; }
  virtual inline int MinBottomBlobs() const { return -1; }
  virtual inline int MaxBottomBlobs() const { return -1; }

 protected:
  virtual void ReadParameter();
};

}  // namespace caffe

#endif  // CAFFE_SPATIAL_PROPAGATION_LAYER_HPP_
