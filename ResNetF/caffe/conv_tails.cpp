#include "conv_tails.hpp"

#include "caffe/layers/conv_layer.hpp"
#include "caffe/net.hpp"

#ifdef USE_ONEDNN
#include "onednn_conv_layer.hpp"
#endif

namespace caffe {

template <typename Dtype>
std::vector<int> TakeOverTails(const Net<Dtype>& net) {
  return std::vector<int>(net.layers().size(), -1);
}

template <typename Dtype>
shared_ptr<Layer<Dtype> > NewConvolution(const LayerParameter& param) {
  return shared_ptr<Layer<Dtype> >(new ConvolutionLayer<Dtype>(param));
}

#ifdef USE_ONEDNN

namespace {

class Tails {
 public:
  explicit Tails(const Net<float>& net) : net_(net), taken_by_(net.layers().size(), -1) {}

  // The tail of convolution number `conv`.
  void TakeOver(int conv) {
    auto* layer = dynamic_cast<OnednnConvolutionLayer*>(net_.layers()[conv].get());
    if (!layer || !layer->taken()) {
      return;
    }
    conv_ = conv;
    const Blob<float>* blob = net_.top_vecs()[conv][0];
    ConvTail tail;
    int next = Reader(blob, conv);
    if (IsFixedNorm(next)) {
      tail.norm = Take(&next, blob);
    }
    if (IsChannelScale(next)) {
      tail.scale = Take(&next, blob);
    }
    if (IsSum(next, blob)) {
      const int other = net_.bottom_vecs()[next][0] == blob ? 1 : 0;
      tail.shortcut = net_.bottom_vecs()[next][other];
      tail.shortcut_wants_diff = net_.bottom_need_backward()[next][other];
      tail.top = net_.top_vecs()[next][0];
      blob = tail.top;
      Take(&next, blob);
    }
    if (IsRelu(next)) {
      tail.relu = true;
      Take(&next, blob);
    }
    layer->set_tail(tail);
  }

  const std::vector<int>& taken_by() const { return taken_by_; }

 private:
  // The first layer behind `from` that reads a blob, or -1.
  int Reader(const Blob<float>* blob, int from) const {
    for (int i = from + 1; i < net_.layers().size(); ++i) {
      for (const Blob<float>* bottom : net_.bottom_vecs()[i]) {
        if (bottom == blob) {
          return i;
        }
      }
    }
    return -1;
  }

  Layer<float>* Take(int* next, const Blob<float>* blob) {
    Layer<float>* layer = net_.layers()[*next].get();
    taken_by_[*next] = conv_;
    *next = Reader(blob, *next);
    return layer;
  }

  const LayerParameter& Parameter(int i) const {
    return net_.layers()[i]->layer_param();
  }

  // Whether layer i works in place, and its backward pass goes with the convolution's.
  bool InPlace(int i, const char* type) const {
    return i >= 0 && Parameter(i).type() == type &&
        net_.bottom_vecs()[i].size() == 1 && net_.bottom_vecs()[i][0] == net_.top_vecs()[i][0] &&
        net_.layer_need_backward()[i] == net_.layer_need_backward()[conv_];
  }

  bool IsFixedNorm(int i) const {
    if (!InPlace(i, "BatchNorm")) {
      return false;
    }
    const BatchNormParameter& norm = Parameter(i).batch_norm_param();
    return norm.has_use_global_stats() ? norm.use_global_stats() : net_.phase() == TEST;
  }

  bool IsChannelScale(int i) const {
    return InPlace(i, "Scale") && Parameter(i).scale_param().axis() == 1 &&
        Parameter(i).scale_param().num_axes() == 1;
  }

  bool IsRelu(int i) const {
    return InPlace(i, "ReLU") && Parameter(i).relu_param().negative_slope() == 0;
  }

  // Whether layer i adds `blob` to another one, which is there before the convolution.
  bool IsSum(int i, const Blob<float>* blob) const {
    if (i < 0 || Parameter(i).type() != "Eltwise" ||
        Parameter(i).eltwise_param().operation() != EltwiseParameter_EltwiseOp_SUM ||
        Parameter(i).eltwise_param().coeff_size() || net_.bottom_vecs()[i].size() != 2 ||
        net_.layer_need_backward()[i] != net_.layer_need_backward()[conv_]) {
      return false;
    }
    const Blob<float>* other = net_.bottom_vecs()[i][net_.bottom_vecs()[i][0] == blob ? 1 : 0];
    if (other == blob || other->shape() != blob->shape() || net_.top_vecs()[i][0] == blob ||
        net_.top_vecs()[i][0] == other) {
      return false;
    }
    for (int j = conv_; j < i; ++j) {  // written meanwhile?
      for (const Blob<float>* top : net_.top_vecs()[j]) {
        if (top == other) {
          return false;
        }
      }
    }
    return true;
  }

  const Net<float>& net_;
  std::vector<int> taken_by_;
  int conv_;
};

}  // namespace

template <>
std::vector<int> TakeOverTails<float>(const Net<float>& net) {
  onednn::UseThreads();
  Tails tails(net);
  for (int i = 0; i < net.layers().size(); ++i) {
    tails.TakeOver(i);
  }
  return tails.taken_by();
}

template <>
shared_ptr<Layer<float> > NewConvolution<float>(const LayerParameter& param) {
  if (param.convolution_param().engine() == ConvolutionParameter_Engine_DEFAULT) {
    return shared_ptr<Layer<float> >(new OnednnConvolutionLayer(param));
  }
  return shared_ptr<Layer<float> >(new ConvolutionLayer<float>(param));
}

#else

template std::vector<int> TakeOverTails<float>(const Net<float>& net);
template shared_ptr<Layer<float> > NewConvolution<float>(const LayerParameter& param);

#endif  // USE_ONEDNN

template std::vector<int> TakeOverTails<double>(const Net<double>& net);
template shared_ptr<Layer<double> > NewConvolution<double>(const LayerParameter& param);

}  // namespace caffe
