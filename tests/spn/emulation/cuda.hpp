#ifndef TESTS_EMULATION_CUDA_HPP_
#define TESTS_EMULATION_CUDA_HPP_

// Enough of CUDA to run spn/propagation_kernels.cu on a host: threads are the
// host's, __syncthreads() is a barrier.  Blocks follow one another where they
// use shared memory, of which there is one; otherwise some run side by side.

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <thread>
#include <vector>

#define __device__
#define __global__
#define __shared__
#define __launch_bounds__(threads)

#define SPN_LAUNCH(kernel, blocks, threads, shared, ...) \
  emulation::Launch(blocks, threads, shared, [&]() { kernel(__VA_ARGS__); })

struct Index {
  unsigned x;
};

static thread_local Index threadIdx, blockIdx;
static Index blockDim, gridDim;

namespace spn {
// Kernels declare it themselves, with `extern`.
double shared[(48 * 1024 + 4096) / sizeof(double)];
}  // namespace spn

namespace emulation {

const unsigned char kPoison = 0xFF;  // NaN, as float and as double
const int kBlocksAtOnce = 3;

static thread_local pthread_barrier_t* block_barrier;
static std::atomic<int> errors(0);

// Whether nobody wrote to [begin, end).
inline bool Untouched(const void* begin, const void* end) {
  return std::all_of(static_cast<const unsigned char*>(begin),
                     static_cast<const unsigned char*>(end),
                     [](unsigned char byte) { return byte == kPoison; });
}

// Blocks first, first + step, ... of a launch, on `threads` host threads.
template <typename Kernel>
void RunBlocks(int first, int step, std::size_t shared, const Kernel& kernel) {
  pthread_barrier_t barrier;
  pthread_barrier_init(&barrier, NULL, blockDim.x);
  const auto run = [&](unsigned thread) {
    block_barrier = &barrier;
    threadIdx.x = thread;
    for (blockIdx.x = first; blockIdx.x < gridDim.x; blockIdx.x += step) {
      if (thread == 0 && shared) {
        std::memset(spn::shared, kPoison, sizeof(spn::shared));
      }
      pthread_barrier_wait(&barrier);
      kernel();
      pthread_barrier_wait(&barrier);
      const char* memory = reinterpret_cast<const char*>(spn::shared);
      if (thread == 0 && shared &&
          !Untouched(memory + shared, memory + sizeof(spn::shared))) {
        ++errors;
      }
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < blockDim.x; ++i) { threads.emplace_back(run, i); }
  for (std::thread& thread : threads) { thread.join(); }
  pthread_barrier_destroy(&barrier);
}

template <typename Kernel>
void Launch(int blocks, int threads, std::size_t shared, const Kernel& kernel) {
  if (blocks < 1 || threads < 1 || threads > 1024 || shared > 48 * 1024) {
    ++errors;
    return;
  }
  blockDim.x = threads;
  gridDim.x = blocks;
  const int at_once = shared ? 1 : std::min(blocks, kBlocksAtOnce);
  std::vector<std::thread> groups;
  for (int i = 0; i < at_once; ++i) {
    groups.emplace_back([=]() { RunBlocks(i, at_once, shared, kernel); });
  }
  for (std::thread& group : groups) { group.join(); }
}

}  // namespace emulation

inline void __syncthreads() {
#ifndef WITHOUT_BARRIER
  pthread_barrier_wait(emulation::block_barrier);
#endif
}

#endif  // TESTS_EMULATION_CUDA_HPP_
