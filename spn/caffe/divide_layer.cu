#include "divide_layer.hpp"

#include <vector>

namespace caffe {

template <typename Dtype>
__global__ void DivideForward(int count, const Dtype* x, Dtype* y) {
  CUDA_KERNEL_LOOP(i, count) {
    y[i] = spn::Reciprocal(x[i]);
  }
}

template <typename Dtype>
__global__ void DivideBackward(int count, const Dtype* y, const Dtype* dy,
                               Dtype* dx) {
  CUDA_KERNEL_LOOP(i, count) {
    dx[i] = spn::ReciprocalAdjoint(y[i], dy[i]);
  }
}

template <typename Dtype>
void DivideLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom,
    const vector<Blob<Dtype>*>& top) {
  const int count = bottom[0]->count();
  // NOLINT_NEXT_LINE(whitespace/operators)
  DivideForward<<<CAFFE_GET_BLOCKS(count), CAFFE_CUDA_NUM_THREADS>>>(
      count, bottom[0]->gpu_data(), top[0]->mutable_gpu_data());
  CUDA_POST_KERNEL_CHECK;
}

template <typename Dtype>
void DivideLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top,
    const vector<bool>& propagate_down, const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) { return; }
  const int count = bottom[0]->count();
  // NOLINT_NEXT_LINE(whitespace/operators)
  DivideBackward<<<CAFFE_GET_BLOCKS(count), CAFFE_CUDA_NUM_THREADS>>>(
      count, top[0]->gpu_data(), top[0]->gpu_diff(),
      bottom[0]->mutable_gpu_diff());
  CUDA_POST_KERNEL_CHECK;
}

INSTANTIATE_LAYER_GPU_FUNCS(DivideLayer);

}  // namespace caffe
