#include "propagation_gpu.hpp"

// A block owns a plane and goes through its steps; its threads share a line.
// A horizontal scan reads down a column, a row's few elements beside it come
// from the cache at the next steps.  Only arithmetic of propagation.hpp, in the
// order of the CPU path: the results are the same to the bit, where the
// compiler fuses no multiplication with an addition (nvcc -fmad=false).

namespace spn {

namespace {

const int kWarp = 32;
const int kMaxThreads = 1024;  // registers of a thread are bounded by it

// What the backward pass reads and writes; gates by their three pointers.
template <typename Dtype>
struct Adjoint {
  const Dtype *x, *h, *dh;
  Three<const Dtype*> gate;
  Dtype* dx;
  Three<Dtype*> dgate;
};

}  // namespace

// The block's `size` elements for lines: in shared memory, unless `lines` is
// global memory that serves instead.
template <typename Dtype>
__device__ Dtype* BlockLines(Dtype* lines, std::size_t size) {
  extern __shared__ double shared[];  // of the wider type, for the alignment
  return lines ? lines + blockIdx.x * size : reinterpret_cast<Dtype*>(shared);
}

template <typename Dtype>
__device__ Three<Dtype> LoadThree(const Three<const Dtype*>& gate,
                                  std::size_t at) {
  return {{gate.v[0][at], gate.v[1][at], gate.v[2][at]}};
}

// Element i of a line of h, from the line before it.
template <Normalization kind, typename Dtype>
__device__ Dtype ForwardElement(int length, int i, Dtype x,
    const Three<Dtype>& gate, const Dtype* before) {
  const bool first = i == 0, last = i == length - 1;
  const Three<Dtype> e = AtBorder(Normalize<kind>(gate), first, last);
  return Propagate(x, e, first ? Dtype(0) : before[i - 1], before[i],
                   last ? Dtype(0) : before[i + 1]);
}

template <Normalization kind, typename Dtype>
__global__ void __launch_bounds__(kMaxThreads) ForwardKernel(Scan scan,
    std::size_t planes, const Dtype* x, Three<const Dtype*> gate, Dtype* lines,
    Dtype* h) {
  const int length = scan.length(), steps = scan.steps();
  const std::size_t stride = length;
  Dtype* before = BlockLines(lines, kForwardRows * stride);
  Dtype* now = before + stride;
  for (std::size_t plane = blockIdx.x; plane < planes; plane += gridDim.x) {
    const int n = plane / scan.channels, c = plane % scan.channels;
    const std::size_t start = scan.offset(n, c), gates = scan.gate_offset(n, c);
    for (int t = 0; t < steps; ++t) {
      for (int i = threadIdx.x; i < length; i += blockDim.x) {
        const std::size_t at = scan.at(t, i);
        const Dtype input = x[start + at];
        now[i] = t == 0 ? input : ForwardElement<kind>(length, i, input,
            LoadThree(gate, gates + at), before);
        h[start + at] = now[i];
      }
      // One barrier a step: the next one writes where this one has read.
      __syncthreads();
      Dtype* const other = before;
      before = now;
      now = other;
    }
  }
}

// What reaches element i of h, from above and from the line after it.
template <typename Dtype>
__device__ Dtype Delta(Dtype dh, const Dtype* after, int length, int i) {
  const std::size_t stride = length;
  return dh + (i < length - 1 ? after[i + 1] : Dtype(0)) + after[stride + i]
      + (i > 0 ? after[2 * stride + i - 1] : Dtype(0));
}

// The gates' gradients at one element, and what it hands on to the line before
// (to rows `now`); returns that of x.  start: of the plane in the blob of x.
template <Normalization kind, typename Dtype>
__device__ Dtype BackwardElement(const Scan& scan, const Adjoint<Dtype>& blobs,
    std::size_t start, std::size_t gates, int t, int i, Dtype delta, Dtype* now,
    Three<Dtype>* d) {
  const int length = scan.length();
  const std::size_t stride = length, at = scan.at(t, i);
  const bool first = i == 0, last = i == length - 1;
  const Dtype* h = blobs.h + start;
  const Three<Dtype> gate = LoadThree(blobs.gate, gates + at);
  const Three<Dtype> e = AtBorder(Normalize<kind>(gate), first, last);
  *d = NormalizeAdjoint<kind>(gate, PropagateAdjointGates(blobs.x[start + at],
      first ? Dtype(0) : h[scan.at(t - 1, i - 1)], h[scan.at(t - 1, i)],
      last ? Dtype(0) : h[scan.at(t - 1, i + 1)], first, last, delta));
  for (int k = 0; k < 3; ++k) {
    now[k * stride + i] = e.v[k] * delta;
  }
  return PropagateAdjointX(e, delta);
}

// One step of a thread's elements; the gates' gradients are added with `add`.
template <Normalization kind, typename Dtype>
__device__ void BackwardStep(const Scan& scan, const Adjoint<Dtype>& blobs,
    std::size_t start, std::size_t gates, int t, bool add, const Dtype* after,
    Dtype* now) {
  const int length = scan.length();
  for (int i = threadIdx.x; i < length; i += blockDim.x) {
    const std::size_t at = scan.at(t, i);
    const Dtype delta = Delta(blobs.dh[start + at], after, length, i);
    // The first line has no neighbours: only delta reaches x.
    Three<Dtype> d = {{0, 0, 0}};
    blobs.dx[start + at] = t == 0 ? delta : BackwardElement<kind>(scan, blobs,
        start, gates, t, i, delta, now, &d);
    for (int k = 0; k < 3; ++k) {
      Dtype* const target = blobs.dgate.v[k] + gates + at;
      *target = d.v[k] + (add ? *target : Dtype(0));
    }
  }
}

// A block takes the planes of x that share a plane of the gates, one after the
// other: sums have one order, and nobody else writes them.
template <Normalization kind, typename Dtype>
__global__ void __launch_bounds__(kMaxThreads) BackwardKernel(Scan scan,
    std::size_t planes, Adjoint<Dtype> blobs, Dtype* lines) {
  const std::size_t half = kBackwardRows / 2 * std::size_t(scan.length());
  Dtype* after = BlockLines(lines, 2 * half);
  Dtype* now = after + half;
  for (std::size_t plane = blockIdx.x; plane < planes; plane += gridDim.x) {
    const int m = plane / scan.channels, c = plane % scan.channels;
    for (int n = m; n < scan.num; n += scan.gate_num) {
      for (std::size_t i = threadIdx.x; i < half; i += blockDim.x) {
        after[i] = 0;
      }
      __syncthreads();
      for (int t = scan.steps() - 1; t >= 0; --t) {
        BackwardStep<kind>(scan, blobs, scan.offset(n, c),
                           scan.gate_offset(m, c), t, n > m, after, now);
        __syncthreads();
        Dtype* const other = after;
        after = now;
        now = other;
      }
    }
  }
}

namespace {

// The grid for `planes` planes, and where their lines are.
struct Grid {
  int blocks, threads;
  std::size_t shared;
};

template <typename Dtype>
Grid MakeGrid(const Scan& scan, int planes, int rows, const Limits& limits) {
  // Threads for the rounds that a line takes anyway, as evenly as warps allow.
  const int length = scan.length();
  const int rounds = (length - 1) / limits.threads + 1;
  const int threads = ((length - 1) / rounds / kWarp + 1) * kWarp;
  const bool fits = FitsShared(scan, rows, sizeof(Dtype), limits);
  return {fits ? planes : std::min(planes, limits.blocks_without_shared),
          std::min(threads, limits.threads),
          fits ? rows * sizeof(Dtype) * length : 0};
}

template <Normalization kind, typename Dtype>
void LaunchForward(const Scan& scan, const Dtype* x,
                   const Three<const Dtype*>& gate, Dtype* lines, Dtype* h,
                   const Limits& limits) {
  const int planes = scan.num * scan.channels;
  const Grid grid = MakeGrid<Dtype>(scan, planes, kForwardRows, limits);
  SPN_LAUNCH(ForwardKernel<kind>, grid.blocks, grid.threads, grid.shared, scan,
             planes, x, gate, grid.shared ? NULL : lines, h);
}

template <Normalization kind, typename Dtype>
void LaunchBackward(const Scan& scan, const Adjoint<Dtype>& blobs, Dtype* lines,
                    const Limits& limits) {
  const int planes = scan.gate_num * scan.channels;
  const Grid grid = MakeGrid<Dtype>(scan, planes, kBackwardRows, limits);
  SPN_LAUNCH(BackwardKernel<kind>, grid.blocks, grid.threads, grid.shared, scan,
             planes, blobs, grid.shared ? NULL : lines);
}

}  // namespace

template <typename Dtype>
void ForwardGPU(const Scan& scan, const Dtype* x, const Dtype* const gate[3],
                Dtype* lines, Dtype* h, const Limits& limits) {
  const Three<const Dtype*> gates = {{gate[0], gate[1], gate[2]}};
  switch (scan.normalization) {
  case ABS_SUM: LaunchForward<ABS_SUM>(scan, x, gates, lines, h, limits); break;
  case CONVEX: LaunchForward<CONVEX>(scan, x, gates, lines, h, limits); break;
  case NONE: LaunchForward<NONE>(scan, x, gates, lines, h, limits); break;
  }
}

template <typename Dtype>
void BackwardGPU(const Scan& scan, const Dtype* x, const Dtype* const gate[3],
                 const Dtype* h, const Dtype* dh, Dtype* lines, Dtype* dx,
                 Dtype* const dgate[3], const Limits& limits) {
  const Adjoint<Dtype> blobs = {x, h, dh, {{gate[0], gate[1], gate[2]}}, dx,
                                {{dgate[0], dgate[1], dgate[2]}}};
  switch (scan.normalization) {
  case ABS_SUM: LaunchBackward<ABS_SUM>(scan, blobs, lines, limits); break;
  case CONVEX: LaunchBackward<CONVEX>(scan, blobs, lines, limits); break;
  case NONE: LaunchBackward<NONE>(scan, blobs, lines, limits); break;
  }
}

template void ForwardGPU<float>(const Scan&, const float*,
    const float* const[3], float*, float*, const Limits&);
template void ForwardGPU<double>(const Scan&, const double*,
    const double* const[3], double*, double*, const Limits&);
template void BackwardGPU<float>(const Scan&, const float*,
    const float* const[3], const float*, const float*, float*, float*,
    float* const[3], const Limits&);
template void BackwardGPU<double>(const Scan&, const double*,
    const double* const[3], const double*, const double*, double*, double*,
    double* const[3], const Limits&);

}  // namespace spn
