#include "spatial_propagation_layer.hpp"

#include <vector>

#include "propagation_cpu.hpp"

namespace caffe {

template <typename Dtype>
void SpatialPropagationLayer<Dtype>::LayerSetUp(
    const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  CHECK(bottom.size() == 2 || bottom.size() == 4) << this->type()
      << " takes x and one blob of gates, or x and three; not "
      << bottom.size() << " bottoms.";
  for (size_t i = 0; i < bottom.size(); ++i) {
    CHECK_NE(top[0], bottom[i]) << this->type() << " does not work in place.";
  }
  ReadParameter();
}

template <typename Dtype>
void SpatialPropagationLayer<Dtype>::ReadParameter() {
  const SpatialPropagationParameter& param =
      this->layer_param_.spatial_propagation_param();
  const int direction = param.direction();
  scan_.horizontal =
      direction == SpatialPropagationParameter_Direction_LEFT_TO_RIGHT ||
      direction == SpatialPropagationParameter_Direction_RIGHT_TO_LEFT;
  scan_.reverse =
      direction == SpatialPropagationParameter_Direction_RIGHT_TO_LEFT ||
      direction == SpatialPropagationParameter_Direction_BOTTOM_TO_TOP;
  switch (param.normalization()) {
  case SpatialPropagationParameter_Normalization_ABS_SUM:
    scan_.normalization = spn::ABS_SUM;
    break;
  case SpatialPropagationParameter_Normalization_CONVEX:
    scan_.normalization = spn::CONVEX;
    break;
  case SpatialPropagationParameter_Normalization_NONE:
    scan_.normalization = spn::NONE;
    break;
  default:
    LOG(FATAL) << "Unknown normalization.";
  }
}

template <typename Dtype>
void GateRecurrent2dnoindLayer<Dtype>::ReadParameter() {
  const GateRecurrent2dnoindParameter& param =
      this->layer_param_.gaterecurrent2dnoind_param();
  this->scan_.horizontal = param.horizontal();
  this->scan_.reverse = param.reverse();
  this->scan_.normalization = spn::NONE;
}

template <typename Dtype>
void SpatialPropagationLayer<Dtype>::Reshape(
    const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const Blob<Dtype>& x = *bottom[0];
  CHECK_EQ(x.num_axes(), 4) << this->type() << ": x must be N x C x H x W, not "
      << x.shape_string();
  CHECK_GT(x.count(), 0) << this->type() << ": x is empty, " << x.shape_string();
  const int channels = bottom.size() == 2 ? 3 * x.shape(1) : x.shape(1);
  for (size_t i = 1; i < bottom.size(); ++i) {
    const Blob<Dtype>& gate = *bottom[i];
    CHECK(gate.num_axes() == 4 && gate.shape(1) == channels &&
          gate.shape(2) == x.shape(2) && gate.shape(3) == x.shape(3) &&
          (gate.shape(0) == x.shape(0) || gate.shape(0) == 1) &&
          gate.shape(0) == bottom[1]->shape(0))
        << this->type() << ": gates (bottom " << i << ") are "
        << gate.shape_string() << "; with x of " << x.shape_string()
        << " they must have " << channels << " channels, its height and width, "
        << "and its N or 1.";
  }
  scan_.num = x.shape(0);
  scan_.channels = x.shape(1);
  scan_.height = x.shape(2);
  scan_.width = x.shape(3);
  scan_.gate_num = bottom[1]->shape(0);
  scan_.gate_stride = bottom[1]->count(1);
  top[0]->ReshapeLike(x);
}

template <typename Dtype>
Blob<Dtype>* SpatialPropagationLayer<Dtype>::GateBlob(
    const vector<Blob<Dtype>*>& bottom, int k) const {
  return bottom[bottom.size() == 2 ? 1 : 1 + k];
}

template <typename Dtype>
size_t SpatialPropagationLayer<Dtype>::GateOffset(
    const vector<Blob<Dtype>*>& bottom, int k) const {
  return bottom.size() == 2 ? k * scan_.channels * scan_.plane() : 0;
}

template <typename Dtype>
void SpatialPropagationLayer<Dtype>::Forward_cpu(
    const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const Dtype* gate[3];
  for (int k = 0; k < 3; ++k) {
    gate[k] = GateBlob(bottom, k)->cpu_data() + GateOffset(bottom, k);
  }
  spn::ForwardCPU(scan_, bottom[0]->cpu_data(), gate, top[0]->mutable_cpu_data());
}

template <typename Dtype>
void SpatialPropagationLayer<Dtype>::Backward_cpu(
    const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
    const vector<Blob<Dtype>*>& bottom) {
  // All gradients come from one pass: those that nobody asked for cost little.
  const Dtype* gate[3];
  Dtype* dgate[3];
  for (int k = 0; k < 3; ++k) {
    gate[k] = GateBlob(bottom, k)->cpu_data() + GateOffset(bottom, k);
    dgate[k] = GateBlob(bottom, k)->mutable_cpu_diff() + GateOffset(bottom, k);
  }
  spn::BackwardCPU(scan_, bottom[0]->cpu_data(), gate, top[0]->cpu_data(),
      top[0]->cpu_diff(), bottom[0]->mutable_cpu_diff(), dgate);
}

#ifdef CPU_ONLY
STUB_GPU(SpatialPropagationLayer);
#endif

INSTANTIATE_CLASS(SpatialPropagationLayer);
REGISTER_LAYER_CLASS(SpatialPropagation);

INSTANTIATE_CLASS(GateRecurrent2dnoindLayer);
REGISTER_LAYER_CLASS(GateRecurrent2dnoind);

}  // namespace caffe
