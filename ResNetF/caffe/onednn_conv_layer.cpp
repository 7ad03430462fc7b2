#ifdef USE_ONEDNN

#include "onednn_conv_layer.hpp"

#include <omp.h>

#include <algorithm>
#include <cmath>

#include "caffe/util/math_functions.hpp"

namespace caffe {

using dnnl::convolution_backward_data;
using dnnl::convolution_backward_weights;
using dnnl::convolution_forward;
using dnnl::memory;
using onednn::Computation;
using onednn::Layout;

namespace {

// What describes a convolution to oneDNN.
struct Shape {
  Layout source, weights, bias, target;
  memory::dims strides, dilates, pads, pads_after;
};

}  // namespace

void OnednnConvolutionLayer::LayerSetUp(const vector<Blob<float>*>& bottom,
    const vector<Blob<float>*>& top) {
  ConvolutionLayer<float>::LayerSetUp(bottom, top);
  taken_ = num_spatial_axes_ == 2 && channel_axis_ == 1 && group_ == 1 &&
      bottom.size() == 1 && !force_nd_im2col_;
  is_product_ = taken_ && blobs_[0]->count(2) == 1 && pad_.cpu_data()[0] == 0 &&
      pad_.cpu_data()[1] == 0;
}

void OnednnConvolutionLayer::Reshape(const vector<Blob<float>*>& bottom,
    const vector<Blob<float>*>& top) {
  ConvolutionLayer<float>::Reshape(bottom, top);
  ForgetOldPlans(bottom, top);  // Caffe calls this before each forward pass
}

void OnednnConvolutionLayer::ForgetOldPlans(const vector<Blob<float>*>& bottom,
    const vector<Blob<float>*>& top) {
  vector<int> now(1, onednn::UseThreads());
  now.insert(now.end(), bottom[0]->shape().begin(), bottom[0]->shape().end());
  now.insert(now.end(), top[0]->shape().begin(), top[0]->shape().end());
  if (now == planned_for_) {
    return;
  }
  planned_for_ = now;
  is_planned_ = false;
  backward_data_.reset();
  backward_weights_.reset();
}

void OnednnConvolutionLayer::set_tail(const ConvTail& tail) {
  CHECK(taken_);
  tail_ = tail;
  is_planned_ = false;
  versions_.clear();
}

bool OnednnConvolutionLayer::HasBias() const {
  return bias_term_ || tail_.norm || tail_.scale;
}

namespace {

// 1x1 convolutions are products of matrices in Caffe's own layout; others are
// fast enough in oneDNN's to be worth the copying.
Shape Described(const Blob<float>& bottom, const Blob<float>& weights, const Blob<float>& top,
    bool is_1x1, const int* stride, const int* dilation, const int* pad) {
  Layout (*layout)(const vector<int>&) = is_1x1 ? onednn::Plain : onednn::Any;
  Shape shape;
  shape.source = layout(bottom.shape());
  shape.target = layout(top.shape());
  shape.weights = layout(weights.shape());
  shape.bias = onednn::Plain(vector<int>(1, weights.shape(0)));
  for (int i = 0; i < 2; ++i) {
    shape.strides.push_back(stride[i]);
    shape.dilates.push_back(dilation[i] - 1);
    shape.pads.push_back(pad[i]);
    const int extent = dilation[i] * (weights.shape(2 + i) - 1) + 1;
    shape.pads_after.push_back(
        (top.shape(2 + i) - 1) * stride[i] + extent - bottom.shape(2 + i) - pad[i]);
  }
  return shape;
}

convolution_forward::primitive_desc ForwardOf(const Shape& s, dnnl::prop_kind kind, bool bias,
    const dnnl::primitive_attr& attributes) {
  const auto algorithm = dnnl::algorithm::convolution_direct;
  return convolution_forward::primitive_desc(bias ?
      convolution_forward::desc(kind, algorithm, s.source, s.weights, s.bias, s.target,
          s.strides, s.dilates, s.pads, s.pads_after) :
      convolution_forward::desc(kind, algorithm, s.source, s.weights, s.target,
          s.strides, s.dilates, s.pads, s.pads_after), attributes, onednn::Engine());
}

dnnl::primitive_attr Attributes() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

}  // namespace

void OnednnConvolutionLayer::PlanForward(const Blob<float>& bottom, const Blob<float>& top) {
  is_planned_ = true;
  const Shape shape = Described(bottom, *blobs_[0], top, is_1x1_, stride_.cpu_data(),
      dilation_.cpu_data(), pad_.cpu_data());
  if (is_product_) {
    weights_layout_ = onednn::Plain(blobs_[0]->shape());
    versions_.clear();
    return;
  }
  dnnl::primitive_attr attributes = Attributes();
  dnnl::post_ops after;
  if (tail_.shortcut) {
    after.append_sum();
  }
  if (tail_.relu) {
    after.append_eltwise(1, dnnl::algorithm::eltwise_relu, 0, 0);
  }
  attributes.set_post_ops(after);
  const auto plan = ForwardOf(shape, phase_ == TEST ? dnnl::prop_kind::forward_inference :
      dnnl::prop_kind::forward_training, HasBias(), attributes);
  // Weights that stay as they are wait in the layout in which they are wanted.
  weights_layout_ = phase_ == TEST ? plan.weights_desc() : onednn::Plain(blobs_[0]->shape());
  versions_.clear();
  forward_.reset(new Computation(convolution_forward(plan), plan.scratchpad_desc()));
  forward_->Add(DNNL_ARG_DST, tail_.shortcut ? Computation::BOTH : Computation::WRITTEN,
      onednn::Plain(top.shape()), plan.dst_desc());
  forward_->Add(DNNL_ARG_SRC, Computation::READ, onednn::Plain(bottom.shape()), plan.src_desc());
  forward_->Add(DNNL_ARG_WEIGHTS, Computation::READ, weights_layout_, plan.weights_desc());
  if (HasBias()) {
    forward_->Add(DNNL_ARG_BIAS, Computation::READ, shape.bias, shape.bias);
  }
}

void OnednnConvolutionLayer::PlanBackward(const Blob<float>& bottom, const Blob<float>& top) {
  const Shape s = Described(bottom, *blobs_[0], top, is_1x1_, stride_.cpu_data(),
      dilation_.cpu_data(), pad_.cpu_data());
  const Layout source = onednn::Plain(bottom.shape()), target = onednn::Plain(top.shape());
  const auto forward = ForwardOf(s, dnnl::prop_kind::forward_training, HasBias(), Attributes());
  const auto algorithm = dnnl::algorithm::convolution_direct;
  const convolution_backward_data::primitive_desc data(
      convolution_backward_data::desc(algorithm, s.source, s.weights, s.target, s.strides,
          s.dilates, s.pads, s.pads_after), Attributes(), onednn::Engine(), forward);
  backward_data_.reset(
      new Computation(convolution_backward_data(data), data.scratchpad_desc()));
  backward_data_->Add(DNNL_ARG_DIFF_DST, Computation::READ, target, data.diff_dst_desc());
  backward_data_->Add(DNNL_ARG_WEIGHTS, Computation::READ, weights_layout_, data.weights_desc());
  backward_data_->Add(DNNL_ARG_DIFF_SRC, Computation::WRITTEN, source, data.diff_src_desc());

  const convolution_backward_weights::primitive_desc weights(HasBias() ?
      convolution_backward_weights::desc(algorithm, s.source, s.weights, s.bias, s.target,
          s.strides, s.dilates, s.pads, s.pads_after) :
      convolution_backward_weights::desc(algorithm, s.source, s.weights, s.target,
          s.strides, s.dilates, s.pads, s.pads_after), Attributes(), onednn::Engine(), forward);
  backward_weights_.reset(
      new Computation(convolution_backward_weights(weights), weights.scratchpad_desc()));
  backward_weights_->Add(DNNL_ARG_DIFF_DST, Computation::READ, target, weights.diff_dst_desc());
  backward_weights_->Add(DNNL_ARG_SRC, Computation::READ, source, weights.src_desc());
  backward_weights_->Add(DNNL_ARG_DIFF_WEIGHTS, Computation::WRITTEN,
      onednn::Plain(blobs_[0]->shape()), weights.diff_weights_desc());
  if (HasBias()) {
    backward_weights_->Add(DNNL_ARG_DIFF_BIAS, Computation::WRITTEN, s.bias, s.bias);
  }
}

void OnednnConvolutionLayer::Fold() {
  vector<std::pair<const void*, size_t> > versions;
  for (Layer<float>* layer : {static_cast<Layer<float>*>(this), tail_.norm, tail_.scale}) {
    for (int i = 0; layer && i < layer->blobs().size(); ++i) {
      const shared_ptr<SyncedMemory>& data = layer->blobs()[i]->data();
      versions.push_back(std::make_pair(data.get(), data->version()));
    }
  }
  if (versions != versions_) {
    versions_ = versions;
    FoldNumbers();
    FoldWeights();
  }
}

// What there is a number a channel of.
void OnednnConvolutionLayer::FoldNumbers() {
  factor_.assign(num_output_, 1);
  deviation_.assign(num_output_, 1);
  mean_.assign(num_output_, 0);
  folded_bias_.assign(num_output_, 0);
  if (tail_.norm) {
    const float sum = tail_.norm->blobs()[2]->cpu_data()[0];
    const float weight = sum == 0 ? 0 : 1 / sum;
    for (int c = 0; c < num_output_; ++c) {
      mean_[c] = weight * tail_.norm->blobs()[0]->cpu_data()[c];
      deviation_[c] = std::sqrt(weight * tail_.norm->blobs()[1]->cpu_data()[c] +
          tail_.norm->layer_param().batch_norm_param().eps());
    }
  }
  for (int c = 0; c < num_output_; ++c) {
    factor_[c] = (tail_.scale ? tail_.scale->blobs()[0]->cpu_data()[c] : 1) / deviation_[c];
    const float bias = bias_term_ ? blobs_[1]->cpu_data()[c] : 0;
    folded_bias_[c] = factor_[c] * (bias - mean_[c]) +
        (tail_.scale && tail_.scale->blobs().size() > 1 ?
         tail_.scale->blobs()[1]->cpu_data()[c] : 0);
  }
}

// Scaled where there is a scale, in the layout that is wanted.
void OnednnConvolutionLayer::FoldWeights() {
  weights_ = blobs_[0]->cpu_data();
  const Layout plain = onednn::Plain(blobs_[0]->shape());
  const bool scaled = tail_.norm || tail_.scale, reordered = weights_layout_ != plain;
  if (scaled) {
    const int size = blobs_[0]->count(1);
    float* folded;
    if (reordered) {
      folded = static_cast<float*>(
          onednn::Scratch(onednn::GRADIENTS, blobs_[0]->count() * sizeof(float)));
    } else {
      folded_weights_.resize(blobs_[0]->count());
      folded = folded_weights_.data();
    }
#pragma omp parallel for
    for (int c = 0; c < num_output_; ++c) {
      for (int i = c * size; i < (c + 1) * size; ++i) {
        folded[i] = factor_[c] * weights_[i];
      }
    }
    weights_ = folded;
  }
  if (reordered) {
    folded_weights_.resize(weights_layout_.get_size() / sizeof(float));
    onednn::Reorder(plain, weights_, weights_layout_, folded_weights_.data());
    weights_ = folded_weights_.data();
  }
}

// The pixels that a convolution with strides looks at, C x H' x W'.
const float* OnednnConvolutionLayer::Gathered(const float* bottom, int height, int width) const {
  const int across = stride_.cpu_data()[1], down = stride_.cpu_data()[0];
  if (across == 1 && down == 1) {
    return bottom;
  }
  const int rows = output_shape_[0], columns = output_shape_[1];
  float* gathered = static_cast<float*>(onednn::Scratch(
      onednn::GATHERED, sizeof(float) * channels_ * rows * columns));
#pragma omp parallel for
  for (int c = 0; c < channels_; ++c) {
    for (int y = 0; y < rows; ++y) {
      const float* from = bottom + (static_cast<size_t>(c) * height + y * down) * width;
      float* to = gathered + (static_cast<size_t>(c) * rows + y) * columns;
      for (int x = 0; x < columns; ++x) {
        to[x] = from[x * across];
      }
    }
  }
  return gathered;
}

namespace {

// row = relu(row + bias + shortcut), without relu or shortcut where there is none.
void Finish(float* row, const float* shortcut, float bias, bool relu, int count) {
  if (shortcut && relu) {
    for (int i = 0; i < count; ++i) {
      const float sum = row[i] + bias + shortcut[i];
      row[i] = sum > 0 ? sum : 0;
    }
  } else if (shortcut) {
    for (int i = 0; i < count; ++i) {
      row[i] += bias + shortcut[i];
    }
  } else if (relu) {
    for (int i = 0; i < count; ++i) {
      const float sum = row[i] + bias;
      row[i] = sum > 0 ? sum : 0;
    }
  } else {
    for (int i = 0; i < count; ++i) {
      row[i] += bias;
    }
  }
}

}  // namespace

// Strips of pixels, narrow enough for what follows to find them in the cache.
void OnednnConvolutionLayer::ForwardProduct(const Blob<float>& bottom, Blob<float>* top) {
  const int kStrip = 1 << 17;  // numbers of the result, 512 KB
  const int pixels = out_spatial_dim_, threads = omp_get_max_threads();
  int strips = std::max(1, std::min(pixels / 256, (pixels * num_output_ - 1) / kStrip + 1));
  strips = (strips + threads - 1) / threads * threads;
  const int width = ((pixels - 1) / strips / 16 + 1) * 16;
  for (int n = 0; n < num_; ++n) {
    const float* x = Gathered(bottom.cpu_data() + n * bottom_dim_, bottom.shape(2),
        bottom.shape(3));
    const float* shortcut = tail_.shortcut ? tail_.shortcut->cpu_data() + n * top_dim_ : nullptr;
    float* y = top->mutable_cpu_data() + n * top_dim_;
#pragma omp parallel for schedule(dynamic)
    for (int from = 0; from < pixels; from += width) {
      const int count = std::min(width, pixels - from);
      dnnl_sgemm('N', 'N', num_output_, count, channels_, 1, weights_, channels_, x + from,
          pixels, 0, y + from, pixels);
      for (int c = 0; c < num_output_; ++c) {
        const size_t at = static_cast<size_t>(c) * pixels + from;
        Finish(y + at, shortcut ? shortcut + at : nullptr, folded_bias_[c], tail_.relu, count);
      }
    }
  }
}

void OnednnConvolutionLayer::Forward_cpu(const vector<Blob<float>*>& bottom,
    const vector<Blob<float>*>& top) {
  if (!taken_) {
    ConvolutionLayer<float>::Forward_cpu(bottom, top);
    return;
  }
  Blob<float>* result = tail_.top ? tail_.top : top[0];
  if (result != top[0]) {  // another size of the input has not come to its layer yet
    result->ReshapeLike(*top[0]);
  }
  if (!is_planned_) {
    PlanForward(*bottom[0], *result);
  }
  Fold();
  if (is_product_) {
    ForwardProduct(*bottom[0], result);
    return;
  }
  if (tail_.shortcut) {
    caffe_copy(result->count(), tail_.shortcut->cpu_data(), result->mutable_cpu_data());
  }
  forward_->Run({result->mutable_cpu_data(), bottom[0]->cpu_data(), weights_,
      folded_bias_.data()});
}

const float* OnednnConvolutionLayer::BackwardTail(Blob<float>* top) {
  if (tail_.relu) {
    const float* data = top->cpu_data();
    float* diff = top->mutable_cpu_diff();
    const int count = top->count();
#pragma omp parallel for
    for (int i = 0; i < count; ++i) {
      diff[i] = data[i] > 0 ? diff[i] : 0;
    }
  }
  if (tail_.shortcut && tail_.shortcut_wants_diff) {
    caffe_copy(top->count(), top->cpu_diff(), tail_.shortcut->mutable_cpu_diff());
  }
  return top->cpu_diff();
}

bool OnednnConvolutionLayer::WantsParameterGradients() {
  for (Layer<float>* layer : {static_cast<Layer<float>*>(this), tail_.scale}) {
    for (int i = 0; layer && i < layer->blobs().size(); ++i) {
      if (layer->param_propagate_down(i)) {
        return true;
      }
    }
  }
  return false;
}

void OnednnConvolutionLayer::AddGradients(const float* weights, const float* bias) {
  const int size = blobs_[0]->count(1);
  const float* own = blobs_[0]->cpu_data();
  float* weight_diff = blobs_[0]->mutable_cpu_diff();
  float* bias_diff = bias_term_ ? blobs_[1]->mutable_cpu_diff() : nullptr;
  float* scale_diff = tail_.scale ? tail_.scale->blobs()[0]->mutable_cpu_diff() : nullptr;
  float* shift_diff = tail_.scale && tail_.scale->blobs().size() > 1 ?
      tail_.scale->blobs()[1]->mutable_cpu_diff() : nullptr;
#pragma omp parallel for
  for (int c = 0; c < num_output_; ++c) {
    double product = 0;
    for (int i = c * size; i < (c + 1) * size; ++i) {
      product += static_cast<double>(own[i]) * weights[i];
      weight_diff[i] += factor_[c] * weights[i];
    }
    if (bias_diff) {
      bias_diff[c] += factor_[c] * bias[c];
    }
    if (scale_diff) {
      const double centre = (bias_term_ ? blobs_[1]->cpu_data()[c] : 0.) - mean_[c];
      scale_diff[c] += (product + centre * bias[c]) / deviation_[c];
    }
    if (shift_diff) {
      shift_diff[c] += bias[c];
    }
  }
}

void OnednnConvolutionLayer::Backward_cpu(const vector<Blob<float>*>& top,
    const vector<bool>& propagate_down, const vector<Blob<float>*>& bottom) {
  if (!taken_) {
    ConvolutionLayer<float>::Backward_cpu(top, propagate_down, bottom);
    return;
  }
  ForgetOldPlans(bottom, top);
  Blob<float>* result = tail_.top ? tail_.top : top[0];
  if (!is_planned_) {
    PlanForward(*bottom[0], *result);
  }
  if (!backward_data_) {
    PlanBackward(*bottom[0], *result);
  }
  Fold();
  const float* diff = BackwardTail(result);
  if (WantsParameterGradients()) {
    float* gradients = static_cast<float*>(onednn::Scratch(onednn::GRADIENTS,
        (blobs_[0]->count() + num_output_) * sizeof(float)));
    float* bias = gradients + blobs_[0]->count();
    backward_weights_->Run({diff, bottom[0]->cpu_data(), gradients, bias});
    AddGradients(gradients, bias);
  }
  if (propagate_down[0]) {
    backward_data_->Run({diff, weights_, bottom[0]->mutable_cpu_diff()});
  }
}

}  // namespace caffe

#endif  // USE_ONEDNN
