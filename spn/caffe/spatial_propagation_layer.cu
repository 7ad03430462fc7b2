#include "spatial_propagation_layer.hpp"

#include <vector>

#include "propagation_gpu.hpp"

namespace caffe {

// Memory for `size` elements, in `blob`; NULL for none.
template <typename Dtype>
static Dtype* Lines(size_t size, Blob<Dtype>* blob) {
  if (size == 0) { return NULL; }
  CHECK_LE(size, INT_MAX) << "A line is too long for Caffe's blobs.";
  blob->Reshape(vector<int>(1, size));
  return blob->mutable_gpu_data();
}

template <typename Dtype>
void SpatialPropagationLayer<Dtype>::Forward_gpu(
    const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const Dtype* gate[3];
  for (int k = 0; k < 3; ++k) {
    gate[k] = GateBlob(bottom, k)->gpu_data() + GateOffset(bottom, k);
  }
  spn::ForwardGPU(scan_, bottom[0]->gpu_data(), gate,
      Lines(spn::ForwardLinesGPU<Dtype>(scan_), &lines_),
      top[0]->mutable_gpu_data());
  CUDA_POST_KERNEL_CHECK;
}

template <typename Dtype>
void SpatialPropagationLayer<Dtype>::Backward_gpu(
    const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
    const vector<Blob<Dtype>*>& bottom) {
  const Dtype* gate[3];
  Dtype* dgate[3];
  for (int k = 0; k < 3; ++k) {
    gate[k] = GateBlob(bottom, k)->gpu_data() + GateOffset(bottom, k);
    dgate[k] = GateBlob(bottom, k)->mutable_gpu_diff() + GateOffset(bottom, k);
  }
  spn::BackwardGPU(scan_, bottom[0]->gpu_data(), gate, top[0]->gpu_data(),
      top[0]->gpu_diff(), Lines(spn::BackwardLinesGPU<Dtype>(scan_), &lines_),
      bottom[0]->mutable_gpu_diff(), dgate);
  CUDA_POST_KERNEL_CHECK;
}

// GateRecurrent2dnoindLayer inherits these two as they are.
INSTANTIATE_LAYER_GPU_FUNCS(SpatialPropagationLayer);

}  // namespace caffe
