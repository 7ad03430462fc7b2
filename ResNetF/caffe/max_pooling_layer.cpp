// Pooling on the CPU, faster than Caffe's where the places of the greatest values are not needed.
#include <algorithm>
#include <vector>

#include "caffe/layers/pooling_layer.hpp"
#include "conv_tails.hpp"

namespace caffe {

// In phase TEST maxima are found row by row, then along the row of what remains.
template <typename Dtype>
class MaxPoolingLayer : public PoolingLayer<Dtype> {
 public:
  explicit MaxPoolingLayer(const LayerParameter& param) : PoolingLayer<Dtype>(param) {}

 protected:
  virtual void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
      const vector<Blob<Dtype>*>& top) {
    if (!Fast(top)) {
      PoolingLayer<Dtype>::Forward_cpu(bottom, top);
      return;
    }
    const Dtype* data = bottom[0]->cpu_data();
    Dtype* result = top[0]->mutable_cpu_data();
    const int planes = bottom[0]->shape(0) * this->channels_;
#pragma omp parallel for
    for (int plane = 0; plane < planes; ++plane) {
      Pool(data + static_cast<size_t>(plane) * this->height_ * this->width_,
          result + static_cast<size_t>(plane) * this->pooled_height_ * this->pooled_width_);
    }
  }

  virtual void Backward_cpu(const vector<Blob<Dtype>*>& top,
      const vector<bool>& propagate_down, const vector<Blob<Dtype>*>& bottom) {
    if (Fast(top)) {
      PoolingLayer<Dtype>::Forward_cpu(bottom, top);  // for the places
    }
    PoolingLayer<Dtype>::Backward_cpu(top, propagate_down, bottom);
  }

 private:
  bool Fast(const vector<Blob<Dtype>*>& top) const {
    return this->phase_ == TEST && top.size() == 1 &&
        this->layer_param_.pooling_param().pool() == PoolingParameter_PoolMethod_MAX &&
        // Else a window may be outside.
        this->kernel_h_ >= this->stride_h_ && this->kernel_w_ >= this->stride_w_;
  }

  void Pool(const Dtype* data, Dtype* result) const {
    const int width = this->width_;
    std::vector<Dtype> greatest(width);
    for (int y = 0; y < this->pooled_height_; ++y, result += this->pooled_width_) {
      const int top = y * this->stride_h_ - this->pad_h_;
      const int first = std::max(top, 0), end = std::min(top + this->kernel_h_, this->height_);
      std::copy_n(data + static_cast<size_t>(first) * width, width, greatest.begin());
      for (int row = first + 1; row < end; ++row) {
        const Dtype* values = data + static_cast<size_t>(row) * width;
        for (int x = 0; x < width; ++x) {
          greatest[x] = std::max(greatest[x], values[x]);
        }
      }
      for (int x = 0; x < this->pooled_width_; ++x) {
        const int left = x * this->stride_w_ - this->pad_w_;
        result[x] = *std::max_element(greatest.begin() + std::max(left, 0),
            greatest.begin() + std::min(left + this->kernel_w_, width));
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
