#ifndef SPN_PROPAGATION_GPU_HPP_
#define SPN_PROPAGATION_GPU_HPP_

#include <algorithm>

#include "propagation.hpp"

// How a kernel is started; the tests, which have no GPU, put their own here.
#ifndef SPN_LAUNCH
#define SPN_LAUNCH(kernel, blocks, threads, shared, ...) \
  kernel<<<blocks, threads, shared>>>(__VA_ARGS__)
#endif

namespace spn {

// What a launch may take: threads of a block (whole warps), its bytes of shared
// memory, and the blocks that keep their lines in global memory instead.
struct Limits {
  int threads;
  std::size_t shared;
  int blocks_without_shared;
};

// 48 KB is what every GPU grants without being asked.
inline Limits DefaultLimits() { return {1024, 48 * 1024, 512}; }

// Lines of the step before and of this one that a block keeps: of h, or of the
// three gates' shares of the gradient.
const int kForwardRows = 2;
const int kBackwardRows = 6;

inline bool FitsShared(const Scan& scan, int rows, std::size_t element,
                       const Limits& limits) {
  return rows * element * scan.length() <= limits.shared;
}

// How many elements of global memory ForwardGPU (its planes are those of x) or
// BackwardGPU (those of a gate) takes as `lines`; mostly 0.
template <typename Dtype>
std::size_t LinesGPU(const Scan& scan, int rows, int planes,
                     const Limits& limits = DefaultLimits()) {
  if (FitsShared(scan, rows, sizeof(Dtype), limits)) { return 0; }
  const std::size_t blocks = std::min(planes, limits.blocks_without_shared);
  return blocks * rows * scan.length();
}

template <typename Dtype>
std::size_t ForwardLinesGPU(const Scan& scan,
                            const Limits& limits = DefaultLimits()) {
  return LinesGPU<Dtype>(scan, kForwardRows, scan.num * scan.channels, limits);
}

template <typename Dtype>
std::size_t BackwardLinesGPU(const Scan& scan,
                             const Limits& limits = DefaultLimits()) {
  return LinesGPU<Dtype>(scan, kBackwardRows, scan.gate_num * scan.channels,
                         limits);
}

// ForwardCPU and BackwardCPU on a GPU: one launch each, on the default stream.
// All pointers are to the GPU's memory.  lines: ForwardLinesGPU, or
// BackwardLinesGPU, elements to work with; NULL where that is 0.
template <typename Dtype>
void ForwardGPU(const Scan& scan, const Dtype* x, const Dtype* const gate[3],
                Dtype* lines, Dtype* h, const Limits& limits = DefaultLimits());

template <typename Dtype>
void BackwardGPU(const Scan& scan, const Dtype* x, const Dtype* const gate[3],
                 const Dtype* h, const Dtype* dh, Dtype* lines, Dtype* dx,
                 Dtype* const dgate[3], const Limits& limits = DefaultLimits());

}  // namespace spn

#endif  // SPN_PROPAGATION_GPU_HPP_
