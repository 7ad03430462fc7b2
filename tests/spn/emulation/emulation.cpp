// The kernels of spn/, compiled for a host, for ctypes.
#include "cuda.hpp"  // before them, as nvcc has its own

#include "../../../spn/caffe/propagation_kernels.cu"

namespace emulation {

const std::size_t kGuard = 64;

// Global memory for lines: nothing in it is initialized, its end is guarded.
class Lines {
 public:
  explicit Lines(std::size_t size)
      : size_(size), memory_((size + kGuard) * sizeof(float), kPoison) {}
  ~Lines() {
    const unsigned char* end = memory_.data() + memory_.size();
    if (!Untouched(get() + size_, end)) { ++errors; }
  }
  float* get() { return reinterpret_cast<float*>(memory_.data()); }
  float* orNull() { return size_ ? get() : NULL; }

 private:
  std::size_t size_;
  std::vector<unsigned char> memory_;
};

}  // namespace emulation

// Both return how many elements of global memory served as lines, and -1 where
// a kernel wrote beyond its memory.
extern "C" long forward(const spn::Scan* scan, const spn::Limits* limits,
    const float* x, const float* const gate[3], float* h) {
  emulation::errors = 0;
  const std::size_t size = spn::ForwardLinesGPU<float>(*scan, *limits);
  {
    emulation::Lines lines(size);
    spn::ForwardGPU(*scan, x, gate, lines.orNull(), h, *limits);
  }
  return emulation::errors ? -1 : static_cast<long>(size);
}

extern "C" long backward(const spn::Scan* scan, const spn::Limits* limits,
    const float* x, const float* const gate[3], const float* h, const float* dh,
    float* dx, float* const dgate[3]) {
  emulation::errors = 0;
  const std::size_t size = spn::BackwardLinesGPU<float>(*scan, *limits);
  {
    emulation::Lines lines(size);
    spn::BackwardGPU(*scan, x, gate, h, dh, lines.orNull(), dx, dgate, *limits);
  }
  return emulation::errors ? -1 : static_cast<long>(size);
}
