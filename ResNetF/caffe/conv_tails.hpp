#ifndef RESNETF_CONV_TAILS_HPP_
#define RESNETF_CONV_TAILS_HPP_

#include <vector>

#include "caffe/layer.hpp"

namespace caffe {

template <typename Dtype>
class Net;

// Has each convolution of a net that oneDNN computes take over what follows
// it: BatchNorm with fixed statistics, Scale, the sum with an earlier blob, ReLU.
// Returns for each layer the convolution that took it over, so that it has
// nothing to do on the CPU, or -1.  Names, blobs and parameters of the net stay as they are; a blob
// that is only an operand of a sum that was taken over is never computed.
template <typename Dtype>
std::vector<int> TakeOverTails(const Net<Dtype>& net);

// A new layer of type Convolution, and one of type Pooling.
template <typename Dtype>
shared_ptr<Layer<Dtype> > NewConvolution(const LayerParameter& param);
template <typename Dtype>
shared_ptr<Layer<Dtype> > NewPooling(const LayerParameter& param);

}  // namespace caffe

#endif  // RESNETF_CONV_TAILS_HPP_
