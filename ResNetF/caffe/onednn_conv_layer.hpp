#ifndef RESNETF_ONEDNN_CONV_LAYER_HPP_
#define RESNETF_ONEDNN_CONV_LAYER_HPP_

#include <memory>
#include <utility>
#include <vector>

#include "caffe/layers/conv_layer.hpp"
#include "onednn.hpp"

namespace caffe {

// What follows a convolution x and is computed with it:
//   z = relu(scale (x - mean) / deviation + shift + shortcut).
struct ConvTail {
  Layer<float>* norm = nullptr;   // BatchNorm with fixed mean and deviation
  Layer<float>* scale = nullptr;  // Scale, a number a channel, maybe with shift
  Blob<float>* shortcut = nullptr;
  bool shortcut_wants_diff = false;
  Blob<float>* top = nullptr;     // z, where it is not the convolution's top
  bool relu = false;
};

// Convolution on the CPU by oneDNN, with its tail.  The scale is folded into
// the weights, W' = s W with s = scale / deviation; the gradients follow from
// those of the folded convolution, dW' and db':
//   dW = s dW',  db = s db',  dshift = db',
//   dscale = (<W, dW'> + (b - mean) db') / deviation.
// What oneDNN is not used for (groups, other than two spatial axes, several
// bottoms) goes Caffe's own way, as does the GPU.
class OnednnConvolutionLayer : public ConvolutionLayer<float> {
 public:
  explicit OnednnConvolutionLayer(const LayerParameter& param)
      : ConvolutionLayer<float>(param) {}
  virtual void LayerSetUp(const vector<Blob<float>*>& bottom,
      const vector<Blob<float>*>& top);
  virtual void Reshape(const vector<Blob<float>*>& bottom,
      const vector<Blob<float>*>& top);

  // Whether oneDNN is used; only then there may be a tail.
  bool taken() const { return taken_; }
  void set_tail(const ConvTail& tail);

 protected:
  virtual void Forward_cpu(const vector<Blob<float>*>& bottom,
      const vector<Blob<float>*>& top);
  virtual void Backward_cpu(const vector<Blob<float>*>& top,
      const vector<bool>& propagate_down, const vector<Blob<float>*>& bottom);

 private:
  void ForgetOldPlans(const vector<Blob<float>*>& bottom, const vector<Blob<float>*>& top);
  void PlanForward(const Blob<float>& bottom, const Blob<float>& top);
  void ForwardProduct(const Blob<float>& bottom, Blob<float>* top);
  const float* Gathered(const float* bottom, int height, int width) const;
  void PlanBackward(const Blob<float>& bottom, const Blob<float>& top);
  bool HasBias() const;
  void Fold();
  void FoldNumbers();
  void FoldWeights();
  const float* BackwardTail(Blob<float>* top);
  bool WantsParameterGradients();
  void AddGradients(const float* weights, const float* bias);

  bool taken_ = false;
  bool is_product_ = false;        // 1x1 without padding: a product of matrices
  vector<int> planned_for_;        // UseThreads(), and the shapes of bottom and top
  bool is_planned_ = false;        // the forward pass, for these
  ConvTail tail_;
  std::unique_ptr<onednn::Computation> forward_, backward_data_, backward_weights_;

  // The folded convolution, up to date as long as the versions of the blobs are these.
  vector<std::pair<const void*, size_t> > versions_;
  vector<float> factor_, deviation_, mean_;  // s, …; a number a channel
  vector<float> folded_weights_, folded_bias_;
  const float* weights_;           // W', in this layout:
  onednn::Layout weights_layout_;
};

}  // namespace caffe

#endif  // RESNETF_ONEDNN_CONV_LAYER_HPP_
