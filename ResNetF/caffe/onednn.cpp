#ifdef USE_ONEDNN

#include "onednn.hpp"

#include <omp.h>
#include <pthread.h>
#include <signal.h>

#include <cstdlib>
#include <memory>
#include <unordered_map>

#include "caffe/common.hpp"
#include "parallel.hpp"

extern "C" void openblas_set_num_threads(int) __attribute__((weak));

namespace onednn {

using dnnl::memory;

namespace {

int forks = 0;

// Gives a thread a stack for signal handlers.  oneDNN's products of matrices have
// the stack pointer in memory from the heap, where the kernel would write the
// frame of a signal over what lies before it.  Python's handlers use this stack.
void UseSignalStack() {
  const std::size_t kBytes = 1 << 17;  // AVX-512's registers alone take 3 KB
  stack_t stack;
  CHECK_EQ(sigaltstack(nullptr, &stack), 0);
  if (stack.ss_flags & SS_DISABLE) {
    stack.ss_sp = new char[kBytes];  // to the thread's end, which nobody tells us of
    stack.ss_size = kBytes;
    stack.ss_flags = 0;
    CHECK_EQ(sigaltstack(&stack, nullptr), 0);
  }
}

// A forked process has OpenMP's threads no more, but would wait for them.
void UseOneThread() {
  omp_set_num_threads(1);
  ++forks;
}

}  // namespace

int UseThreads() {
  static const bool is_ready = []() {
    omp_set_num_threads(spn::Threads());
    if (openblas_set_num_threads) {
      openblas_set_num_threads(1);  // its threads would wait beside OpenMP's, and take their time
    }
#pragma omp parallel
    UseSignalStack();  // of OpenMP's threads
    CHECK_EQ(pthread_atfork(nullptr, nullptr, UseOneThread), 0);
    return true;
  }();
  static thread_local const bool has_stack = (UseSignalStack(), true);
  return is_ready && has_stack ? forks : -1;
}

const dnnl::engine& Engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

namespace {

dnnl::stream& Stream() {
  static thread_local dnnl::stream stream(Engine());
  return stream;
}

Layout Described(const std::vector<int>& shape, bool any) {
  const memory::dims dims(shape.begin(), shape.end());
  if (any) {
    return Layout(dims, memory::data_type::f32, memory::format_tag::any);
  }
  memory::dims strides(dims.size(), 1);
  for (int i = static_cast<int>(dims.size()) - 2; i >= 0; --i) {
    strides[i] = strides[i + 1] * dims[i + 1];
  }
  return Layout(dims, memory::data_type::f32, strides);
}

memory Wrapped(const Layout& layout, const void* data) {
  return memory(layout, Engine(), const_cast<void*>(data));
}

std::size_t Aligned(std::size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

}  // namespace

Layout Plain(const std::vector<int>& shape) {
  return Described(shape, false);
}

Layout Any(const std::vector<int>& shape) {
  return Described(shape, true);
}

void* Scratch(Slot slot, std::size_t bytes) {
  struct Free { void operator()(void* data) const { std::free(data); } };
  static thread_local std::unique_ptr<void, Free> held[SLOTS];
  static thread_local std::size_t size[SLOTS];
  if (size[slot] < bytes) {
    held[slot].reset();
    size[slot] = 0;
    void* data = nullptr;
    CHECK_EQ(posix_memalign(&data, 64, bytes), 0) << "no memory for " << bytes << " bytes";
    held[slot].reset(data);
    size[slot] = bytes;
  }
  return held[slot].get();
}

void Reorder(const Layout& from, const void* source, const Layout& to, void* target) {
  memory given = Wrapped(from, source), wanted = Wrapped(to, target);
  dnnl::reorder(given, wanted).execute(Stream(), given, wanted);
  Stream().wait();
}

void Computation::Add(int argument, Use use, const Layout& given, const Layout& wanted) {
  operands_.push_back({argument, use, given, wanted});
}

void Computation::Run(const std::vector<const void*>& data) {
  std::size_t bytes = Aligned(scratchpad_.get_size());
  for (const Operand& operand : operands_) {
    if (operand.given != operand.wanted) {
      bytes += Aligned(operand.wanted.get_size());
    }
  }
  char* scratch = static_cast<char*>(Scratch(REORDERED, bytes));
  std::unordered_map<int, memory> arguments;
  arguments[DNNL_ARG_SCRATCHPAD] = Wrapped(scratchpad_, scratch);
  scratch += Aligned(scratchpad_.get_size());
  std::vector<const void*> reordered(data);
  for (std::size_t i = 0; i < operands_.size(); ++i) {
    const Operand& operand = operands_[i];
    if (operand.given != operand.wanted) {
      reordered[i] = scratch;
      scratch += Aligned(operand.wanted.get_size());
      if (operand.use != WRITTEN) {
        Reorder(operand.given, data[i], operand.wanted, const_cast<void*>(reordered[i]));
      }
    }
    arguments[operand.argument] = Wrapped(operand.wanted, reordered[i]);
  }
  primitive_.execute(Stream(), arguments);
  Stream().wait();
  for (std::size_t i = 0; i < operands_.size(); ++i) {
    const Operand& operand = operands_[i];
    if (operand.use != READ && operand.given != operand.wanted) {
      Reorder(operand.wanted, reordered[i], operand.given, const_cast<void*>(data[i]));
    }
  }
}

}  // namespace onednn

#endif  // USE_ONEDNN
