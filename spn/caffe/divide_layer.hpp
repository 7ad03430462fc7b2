#ifndef CAFFE_DIVIDE_LAYER_HPP_
#define CAFFE_DIVIDE_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layers/neuron_layer.hpp"
#include "caffe/proto/caffe.pb.h"

#include "propagation.hpp"

namespace caffe {

/**
 * @brief The NIPS 2017 release's reciprocal, @f$ y = 1 / x @f$, an exact 0 of x
 *        replaced by 0.0001.  Its `alpha` has no effect.
 */
template <typename Dtype>
class DivideLayer : public NeuronLayer<Dtype> {
 public:
  explicit DivideLayer(const LayerParameter& param)
      : NeuronLayer<Dtype>(param) {}

  virtual inline const char* type() const { return "Divide"; }

 protected:
  virtual void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
      const vector<Blob<Dtype>*>& top);
  virtual void Forward_gpu(const vector<Blob<Dtype>*>& bottom,
      const vector<Blob<Dtype>*>& top);
  virtual void Backward_cpu(const vector<Blob<Dtype>*>& top,
      const vector<bool>& propagate_down, const vector<Blob<Dtype>*>& bottom);
  virtual void Backward_gpu(const vector<Blob<Dtype>*>& top,
      const vector<bool>& propagate_down, const vector<Blob<Dtype>*>& bottom);
};

}  // namespace caffe

#endif  // CAFFE_DIVIDE_LAYER_HPP_
