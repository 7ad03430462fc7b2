#ifndef SPN_PROPAGATION_CPU_HPP_
#define SPN_PROPAGATION_CPU_HPP_

#include "propagation.hpp"

namespace spn {

// A scan of all planes, on all cores (see parallel.hpp): h from x
// and the gates.  x and h: num x channels x height x width.
template <typename Dtype>
void ForwardCPU(const Scan& scan, const Dtype* x, const Dtype* const gate[3],
                Dtype* h);

// Its adjoint: from dh, the gradient reaching h, those of x and of the gates,
// which are written, not added to. 
template <typename Dtype>
void BackwardCPU(const Scan& scan, const Dtype* x, const Dtype* const gate[3],
                 const Dtype* h, const Dtype* dh, Dtype* dx,
                 Dtype* const dgate[3]);

}  // namespace spn

#endif  // SPN_PROPAGATION_CPU_HPP_
