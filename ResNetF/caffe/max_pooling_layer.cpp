// Pooling by the maximum on the CPU, several times as fast as Caffe's own.
#include <algorithm>
#include <vector>

#include "caffe/layers/pooling_layer.hpp"
#include "caffe/util/math_functions.hpp"
#include "conv_tails.hpp"

namespace caffe {

// Maxima are found row by row, then along the row of what remains; their places
// are looked for in the backward pass, where it needs them.  All else is Caffe's.
template <typename Dtype>
class MaxPoolingLayer : public PoolingLayer<Dtype> {
 public:
  explicit MaxPoolingLayer(const LayerParameter& param) : PoolingLayer<Dtype>(param) {}

 protected:
  virtual void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
      const vector<Blob<Dtype>*>& top) {
    if (!IsTaken(top)) {
      PoolingLayer<Dtype>::Forward_cpu(bottom, top);
      return;
    }
    const Dtype* data = bottom[0]->cpu_data();
    Dtype* result = top[0]->mutable_cpu_data();
#pragma omp parallel for
    for (int plane = 0; plane < Planes(*bottom[0]); ++plane) {
      Pool(data + plane * Size(), result + plane * PooledSize());
    }
  }

  virtual void Backward_cpu(const vector<Blob<Dtype>*>& top,
      const vector<bool>& propagate_down, const vector<Blob<Dtype>*>& bottom) {
    if (!IsTaken(top)) {
      PoolingLayer<Dtype>::Backward_cpu(top, propagate_down, bottom);
      return;
    }
    if (!propagate_down[0]) {
      return;
    }
    const Dtype* data = bottom[0]->cpu_data();
    const Dtype* result = top[0]->cpu_data();
    const Dtype* diff = top[0]->cpu_diff();
    Dtype* gradient = bottom[0]->mutable_cpu_diff();
#pragma omp parallel for
    for (int plane = 0; plane < Planes(*bottom[0]); ++plane) {
      Spread(data + plane * Size(), result + plane * PooledSize(), diff + plane * PooledSize(),
          gradient + plane * Size());
    }
  }

 private:
  bool IsTaken(const vector<Blob<Dtype>*>& top) const {
    return top.size() == 1 && this->layer_param_.pooling_param().pool() ==
        PoolingParameter_PoolMethod_MAX &&
        // Else a window may be outside.
        this->kernel_h_ >= this->stride_h_ && this->kernel_w_ >= this->stride_w_;
  }

  int Planes(const Blob<Dtype>& bottom) const { return bottom.shape(0) * this->channels_; }
  size_t Size() const { return static_cast<size_t>(this->height_) * this->width_; }
  size_t PooledSize() const {
    return static_cast<size_t>(this->pooled_height_) * this->pooled_width_;
  }

  // The rows, or columns, of a window: from `first` to before `end`.
  struct Window {
    Window(int index, int stride, int kernel, int pad, int length)
        : first(std::max(index * stride - pad, 0)),
          end(std::min(index * stride - pad + kernel, length)) {}
    int first, end;
  };
  Window Rows(int y) const {
    return Window(y, this->stride_h_, this->kernel_h_, this->pad_h_, this->height_);
  }
  Window Columns(int x) const {
    return Window(x, this->stride_w_, this->kernel_w_, this->pad_w_, this->width_);
  }

  void Pool(const Dtype* data, Dtype* result) const {
    const int width = this->width_;
    std::vector<Dtype> greatest(width);
    for (int y = 0; y < this->pooled_height_; ++y, result += this->pooled_width_) {
      const Window rows = Rows(y);
      std::copy_n(data + static_cast<size_t>(rows.first) * width, width, greatest.begin());
      for (int row = rows.first + 1; row < rows.end; ++row) {
        const Dtype* values = data + static_cast<size_t>(row) * width;
        for (int x = 0; x < width; ++x) {
          greatest[x] = std::max(greatest[x], values[x]);
        }
      }
      for (int x = 0; x < this->pooled_width_; ++x) {
        const Window columns = Columns(x);
        result[x] = *std::max_element(
            greatest.begin() + columns.first, greatest.begin() + columns.end);
      }
    }
  }

  // Adds each diff to that of the first pixel of its window that has the maximum.
  void Spread(const Dtype* data, const Dtype* result, const Dtype* diff,
      Dtype* gradient) const {
    caffe_set(static_cast<int>(Size()), Dtype(0), gradient);
    for (int y = 0; y < this->pooled_height_; ++y) {
      const Window rows = Rows(y);
      for (int x = 0; x < this->pooled_width_; ++x, ++result, ++diff) {
        const Window columns = Columns(x);
        bool found = false;
        for (int row = rows.first; row < rows.end && !found; ++row) {
          const Dtype* values = data + static_cast<size_t>(row) * this->width_;
          const Dtype* at = std::find(values + columns.first, values + columns.end, *result);
          if ((found = at != values + columns.end)) {
            gradient[at - data] += *diff;
          }
        }
      }
    }
  }
};

template <typename Dtype>
shared_ptr<Layer<Dtype> > NewPooling(const LayerParameter& param) {
  if (param.pooling_param().engine() == PoolingParameter_Engine_DEFAULT) {
    return shared_ptr<Layer<Dtype> >(new MaxPoolingLayer<Dtype>(param));
  }
  return shared_ptr<Layer<Dtype> >(new PoolingLayer<Dtype>(param));
}

template shared_ptr<Layer<float> > NewPooling<float>(const LayerParameter& param);
template shared_ptr<Layer<double> > NewPooling<double>(const LayerParameter& param);

}  // namespace caffe
