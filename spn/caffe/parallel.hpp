#ifndef SPN_PARALLEL_HPP_
#define SPN_PARALLEL_HPP_

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <system_error>
#include <thread>
#include <vector>

namespace spn {

// How many threads to use: all cores, unless OPENBLAS_NUM_THREADS or else
// OMP_NUM_THREADS says otherwise, as for OpenBLAS.
inline int Threads() {
  for (const char* name : {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"}) {
    const char* value = std::getenv(name);
    if (value && std::atoi(value) > 0) {
      return std::atoi(value);
    }
  }
  return std::max(1u, std::thread::hardware_concurrency());
}

// Calls work(i, buffer) for each i below count, on all cores; a core's calls
// share a buffer of `size` elements.  Threads are made anew each time: it costs
// some 20 us, and a process may fork in between.
template <typename Dtype, typename Work>
void Parallel(int count, std::size_t size, const Work& work) {
  std::atomic<int> next(0);
  const auto run = [&]() {
    std::vector<Dtype> buffer(size);
    for (int i = next++; i < count; i = next++) {
      work(i, buffer.data());
    }
  };
  std::vector<std::thread> threads;
  try {
    for (int i = 1; i < std::min(Threads(), count); ++i) {
      threads.emplace_back(run);
    }
  } catch (const std::system_error&) {
    // No more threads are to be had: those that there are do the work.
  }
  run();
  for (std::thread& thread : threads) {
    thread.join();
  }
}

}  // namespace spn

#endif  // SPN_PARALLEL_HPP_
