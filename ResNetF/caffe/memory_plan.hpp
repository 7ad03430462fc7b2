#ifndef RESNETF_MEMORY_PLAN_HPP_
#define RESNETF_MEMORY_PLAN_HPP_

#include <vector>

#include "caffe/layer.hpp"

namespace caffe {

template <typename Dtype>
class Net;

// Lets blobs that are never needed at the same time share memory, where the
// net's state has the stage "share_memory": in phase TEST their data, in phase
// TRAIN their diffs (data are needed until the end of the backward pass).
//
// What is read from such a blob after a pass is of another one.  Blobs keep
// memory of their own that are inputs or outputs of the net, losses, or next
// to a layer whose use of memory is not known here (Python, losses, …).
//
// taken_by: for each layer, the convolution that does its work, or -1.
template <typename Dtype>
void ShareMemory(const Net<Dtype>& net, const std::vector<int>& taken_by);

}  // namespace caffe

#endif  // RESNETF_MEMORY_PLAN_HPP_
