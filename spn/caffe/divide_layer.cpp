#include "divide_layer.hpp"

#include <vector>

namespace caffe {

template <typename Dtype>
void DivideLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom,
    const vector<Blob<Dtype>*>& top) {
  const Dtype* x = bottom[0]->cpu_data();
  Dtype* y = top[0]->mutable_cpu_data();
  for (int i = 0; i < bottom[0]->count(); ++i) {
    y[i] = spn::Reciprocal(x[i]);
  }
}

template <typename Dtype>
void DivideLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top,
    const vector<bool>& propagate_down, const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) { return; }
  const Dtype* y = top[0]->cpu_data();
  const Dtype* dy = top[0]->cpu_diff();
  Dtype* dx = bottom[0]->mutable_cpu_diff();
  for (int i = 0; i < bottom[0]->count(); ++i) {
    dx[i] = spn::ReciprocalAdjoint(y[i], dy[i]);
  }
}

#ifdef CPU_ONLY
STUB_GPU(DivideLayer);
#endif

INSTANTIATE_CLASS(DivideLayer);
REGISTER_LAYER_CLASS(Divide);

}  // namespace caffe
