#include "propagation_cpu.hpp"

#include <algorithm>
#include <utility>

#include "parallel.hpp"
#include "strips.hpp"

// Compiled for AVX2 and AVX-512 as well, and chosen when the program starts.
// With -ffp-contract=off (no fused multiply-add) all give the same bits.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define SPN_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define SPN_CLONES
#endif

namespace spn {

namespace {

// element(i, is it the first, is it the last) for all of a line.  What is left of
// a line after whole blocks would not be vectorized: with `repeatable`, where
// computing an element twice does no harm, a last block overlaps with the one
// before it.
template <bool repeatable, typename Element>
SPN_INLINE void ForLine(int length, const Element& element) {
  const int kBlock = 16;
  const auto block = [&](int begin) __attribute__((always_inline)) {
#pragma GCC ivdep
    for (int i = begin; i < begin + kBlock; ++i) {
      element(i, false, false);
    }
  };
  const int last = length - 1;
  element(0, true, last == 0);
  int i = 1;
  for (; i + kBlock <= last; i += kBlock) {
    block(i);
  }
  if (repeatable && i < last && last > kBlock) {
    block(last - kBlock);
    i = last;
  }
  for (; i < last; ++i) {
    element(i, false, false);
  }
  if (last > 0) {
    element(last, false, true);
  }
}

// One line of h.  before: the line before it, NULL at the first step.
template <Normalization kind, typename Dtype>
SPN_INLINE void ForwardLine(int length, const Dtype* __restrict__ x,
    const Dtype* __restrict__ g0, const Dtype* __restrict__ g1,
    const Dtype* __restrict__ g2, const Dtype* __restrict__ before,
    Dtype* __restrict__ h) {
  if (!before) {
    std::copy(x, x + length, h);
    return;
  }
  const auto element = [=](int i, bool first, bool last)
      __attribute__((always_inline)) {
    const Three<Dtype> e = AtBorder(
        Normalize<kind, Dtype>({{g0[i], g1[i], g2[i]}}), first, last);
    h[i] = Propagate(x[i], e, first ? Dtype(0) : before[i - 1], before[i],
                     last ? Dtype(0) : before[i + 1]);
  };
  ForLine<true>(length, element);
}

template <Normalization kind, typename Dtype>
SPN_CLONES void ForwardPlane(const Scan& scan, const Dtype* x,
    const Dtype* g0, const Dtype* g1, const Dtype* g2, Dtype* h,
    Dtype* buffer) {
  const int length = scan.length(), steps = scan.steps();
  if (!scan.horizontal) {
    for (int t = 0; t < steps; ++t) {
      const std::size_t at = scan.at(t, 0);
      ForwardLine<kind>(length, x + at, g0 + at, g1 + at, g2 + at,
                        t ? h + scan.at(t - 1, 0) : NULL, h + at);
    }
    return;
  }
  const std::size_t stride = Stride(length), strip = stride * kStrip;
  Dtype* lines = buffer + 4 * strip;  // row 0: the line before the strip
  const Dtype* const sources[4] = {x, g0, g1, g2};
  for (int k = 0; k < 4; ++k) {
    Touch(sources[k], scan.plane());
  }
  for (int begin = 0; begin < steps; begin += kStrip) {
    const int count = std::min(kStrip, steps - begin);
    for (int k = 0; k < 4; ++k) {
      Load(scan, sources[k], begin, count, stride, buffer + k * strip);
    }
    for (int s = 0; s < count; ++s) {
      const Dtype* row = buffer + s * stride;
      ForwardLine<kind>(length, row, row + strip, row + 2 * strip,
                        row + 3 * strip, begin + s ? lines + s * stride : NULL,
                        lines + (s + 1) * stride);
    }
    Store<false>(scan, lines + stride, begin, count, stride, h);
    std::copy(lines + count * stride, lines + count * stride + length, lines);
  }
}

// What the adjoint reads and writes at one line.
template <typename Dtype>
struct AdjointLine {
  const Dtype *x, *g[3], *before, *dh;
  Dtype *dx, *dg[3];
};

// Where the neighbours of the first line are not: only delta reaches x.
template <typename Dtype>
SPN_INLINE void BackwardFirstLine(int length, const AdjointLine<Dtype>& line,
    std::size_t stride, bool add, const Dtype* after) {
  for (int i = 0; i < length; ++i) {
    line.dx[i] = line.dh[i] + after[i + 1] + after[stride + i]
        + after[2 * stride + i - 1];
  }
  for (int k = 0; k < 3 && !add; ++k) {
    std::fill(line.dg[k], line.dg[k] + length, Dtype(0));
  }
}

// One line of the gradients.  after, now: rows of e_k delta of the line after
// this one, and of this one; the elements beside them are 0.
template <Normalization kind, bool add, typename Dtype>
SPN_INLINE void BackwardLine(int length, const AdjointLine<Dtype>& line,
    std::size_t stride, const Dtype* after, Dtype* now) {
  const Dtype *x = line.x, *dh = line.dh, *before = line.before;
  const Dtype *g0 = line.g[0], *g1 = line.g[1], *g2 = line.g[2];
  Dtype *dx = line.dx, *d0 = line.dg[0], *d1 = line.dg[1], *d2 = line.dg[2];
  const auto element = [=](int i, bool first, bool last)
      __attribute__((always_inline)) {
    const Dtype delta = dh[i] + after[i + 1] + after[stride + i]
        + after[2 * stride + i - 1];
    const Three<Dtype> g = {{g0[i], g1[i], g2[i]}};
    const Three<Dtype> e = AtBorder(Normalize<kind>(g), first, last);
    const Three<Dtype> d = NormalizeAdjoint<kind>(g, PropagateAdjointGates(
        x[i], first ? Dtype(0) : before[i - 1], before[i],
        last ? Dtype(0) : before[i + 1], first, last, delta));
    dx[i] = PropagateAdjointX(e, delta);
    now[i] = e.v[0] * delta;
    now[stride + i] = e.v[1] * delta;
    now[2 * stride + i] = e.v[2] * delta;
    d0[i] = d.v[0] + (add ? d0[i] : Dtype(0));
    d1[i] = d.v[1] + (add ? d1[i] : Dtype(0));
    d2[i] = d.v[2] + (add ? d2[i] : Dtype(0));
  };
  ForLine<!add>(length, element);
}

// The line at any step.
template <Normalization kind, typename Dtype>
SPN_INLINE void BackwardStep(int length, const AdjointLine<Dtype>& line,
    std::size_t stride, bool add, const Dtype* after, Dtype* now) {
  if (!line.before) {
    BackwardFirstLine(length, line, stride, add, after);
  } else if (add) {
    BackwardLine<kind, true>(length, line, stride, after, now);
  } else {
    BackwardLine<kind, false>(length, line, stride, after, now);
  }
}

// The gradients of a plane, those of the gates added with `add`.
template <Normalization kind, typename Dtype>
SPN_CLONES void BackwardPlane(const Scan& scan, const AdjointLine<Dtype>& plane,
    const Dtype* h, bool add, Dtype* buffer) {
  const int length = scan.length(), steps = scan.steps();
  const std::size_t stride = Stride(length), strip = stride * kStrip;
  Dtype* after = buffer + 1;  // 3 rows, and 3 more to change with
  Dtype* now = after + 3 * stride;
  std::fill(buffer, buffer + 6 * stride, Dtype(0));
  if (!scan.horizontal) {
    for (int t = steps - 1; t >= 0; --t) {
      const std::size_t at = scan.at(t, 0);
      const AdjointLine<Dtype> line = {
          plane.x + at, {plane.g[0] + at, plane.g[1] + at, plane.g[2] + at},
          t ? h + scan.at(t - 1, 0) : NULL, plane.dh + at, plane.dx + at,
          {plane.dg[0] + at, plane.dg[1] + at, plane.dg[2] + at}};
      BackwardStep<kind>(length, line, stride, add, after, now);
      std::swap(after, now);
    }
    return;
  }
  Dtype* in = buffer + 6 * stride;       // x, three gates, dh
  Dtype* out = in + 5 * strip;           // their gradients, without the last
  Dtype* lines = out + 4 * strip;        // h; row 0: the line before the strip
  const Dtype* const sources[5] = {plane.x, plane.g[0], plane.g[1], plane.g[2],
                                   plane.dh};
  Dtype* const targets[4] = {plane.dx, plane.dg[0], plane.dg[1], plane.dg[2]};
  for (int k = 0; k < 5; ++k) {
    Touch(sources[k], scan.plane());
  }
  Touch(h, scan.plane());
  for (int begin = (steps - 1) / kStrip * kStrip; begin >= 0; begin -= kStrip) {
    const int count = std::min(kStrip, steps - begin);
    for (int k = 0; k < 5; ++k) {
      Load(scan, sources[k], begin, count, stride, in + k * strip);
    }
    const int before = begin ? 1 : 0;
    Load(scan, h, begin - before, count - 1 + before, stride,
         lines + (1 - before) * stride);
    for (int s = count - 1; s >= 0; --s) {
      const Dtype* row = in + s * stride;
      Dtype* result = out + s * stride;
      const AdjointLine<Dtype> line = {
          row, {row + strip, row + 2 * strip, row + 3 * strip},
          begin + s ? lines + s * stride : NULL, row + 4 * strip, result,
          {result + strip, result + 2 * strip, result + 3 * strip}};
      BackwardStep<kind>(length, line, stride, false, after, now);
      std::swap(after, now);
    }
    for (int k = 0; k < 4; ++k) {
      if (add && k > 0) {
        Store<true>(scan, out + k * strip, begin, count, stride, targets[k]);
      } else {
        Store<false>(scan, out + k * strip, begin, count, stride, targets[k]);
      }
    }
  }
}

template <Normalization kind, typename Dtype>
void ForwardPlanes(const Scan& scan, const Dtype* x, const Dtype* const gate[3],
                   Dtype* h) {
  const std::size_t size =
      scan.horizontal ? Stride(scan.length()) * (5 * kStrip + 1) : 0;
  Parallel<Dtype>(scan.num * scan.channels, size, [&](int i, Dtype* buffer) {
    const int n = i / scan.channels, c = i % scan.channels;
    const std::size_t at = scan.offset(n, c), gates = scan.gate_offset(n, c);
    ForwardPlane<kind>(scan, x + at, gate[0] + gates, gate[1] + gates,
                       gate[2] + gates, h + at, buffer);
  });
}

// A call of `work` takes the planes that share their gates: their gradients add up.
template <Normalization kind, typename Dtype>
void BackwardPlanes(const Scan& scan, const Dtype* x, const Dtype* const gate[3],
                    const Dtype* h, const Dtype* dh, Dtype* dx,
                    Dtype* const dgate[3]) {
  const std::size_t size = Stride(scan.length())
      * (6 + (scan.horizontal ? 10 * kStrip + 1 : 0));
  Parallel<Dtype>(scan.gate_num * scan.channels, size, [&](int i, Dtype* buffer) {
    const int m = i / scan.channels, c = i % scan.channels;
    const std::size_t gates = scan.gate_offset(m, c);
    for (int n = m; n < scan.num; n += scan.gate_num) {
      const std::size_t at = scan.offset(n, c);
      const AdjointLine<Dtype> plane = {
          x + at, {gate[0] + gates, gate[1] + gates, gate[2] + gates}, NULL,
          dh + at, dx + at,
          {dgate[0] + gates, dgate[1] + gates, dgate[2] + gates}};
      BackwardPlane<kind>(scan, plane, h + at, n > m, buffer);
    }
  });
}

}  // namespace

template <typename Dtype>
void ForwardCPU(const Scan& scan, const Dtype* x, const Dtype* const gate[3],
                Dtype* h) {
  switch (scan.normalization) {
  case ABS_SUM: ForwardPlanes<ABS_SUM>(scan, x, gate, h); break;
  case CONVEX: ForwardPlanes<CONVEX>(scan, x, gate, h); break;
  case NONE: ForwardPlanes<NONE>(scan, x, gate, h); break;
  }
}

template <typename Dtype>
void BackwardCPU(const Scan& scan, const Dtype* x, const Dtype* const gate[3],
                 const Dtype* h, const Dtype* dh, Dtype* dx,
                 Dtype* const dgate[3]) {
  switch (scan.normalization) {
  case ABS_SUM: BackwardPlanes<ABS_SUM>(scan, x, gate, h, dh, dx, dgate); break;
  case CONVEX: BackwardPlanes<CONVEX>(scan, x, gate, h, dh, dx, dgate); break;
  case NONE: BackwardPlanes<NONE>(scan, x, gate, h, dh, dx, dgate); break;
  }
}

template void ForwardCPU<float>(const Scan&, const float*, const float* const[3],
                                float*);
template void ForwardCPU<double>(const Scan&, const double*,
                                 const double* const[3], double*);
template void BackwardCPU<float>(const Scan&, const float*, const float* const[3],
    const float*, const float*, float*, float* const[3]);
template void BackwardCPU<double>(const Scan&, const double*,
    const double* const[3], const double*, const double*, double*,
    double* const[3]);

}  // namespace spn
