#ifndef SPN_PROPAGATION_HPP_
#define SPN_PROPAGATION_HPP_

// The arithmetic of three-way spatial propagation (Liu et al., Learning
// Affinity via Spatial Propagation Networks, arXiv 1710.01020): one element of
// the recurrence, of its adjoint, and of the normalization of its gates.  The
// CPU path and the CUDA kernels are loops around these functions.
//
// A scan runs along one axis, step by step; a line is what lies across it.
// Element i of a line takes the elements i - 1, i and i + 1 of the line before
// by its gates 0, 1 and 2.

#include <cmath>
#include <cstddef>
#include <cstring>

#ifdef __CUDACC__
#define SPN_INLINE __host__ __device__ __forceinline__
#else
#define SPN_INLINE inline __attribute__((always_inline))
#endif

namespace spn {

enum Normalization { ABS_SUM, CONVEX, NONE };

// The blobs and the direction of a scan.  Gate k (0, 1, 2) of the plane (n, c)
// begins at gate[k] + (n % gate_num) * gate_stride + c * height * width: with
// gate_num = 1, all num planes of a channel share their gates.
struct Scan {
  int num, channels, height, width;
  int gate_num;
  std::size_t gate_stride;
  bool horizontal, reverse;
  Normalization normalization;

  SPN_INLINE int steps() const { return horizontal ? width : height; }
  SPN_INLINE int length() const { return horizontal ? height : width; }
  SPN_INLINE std::size_t plane() const {
    return static_cast<std::size_t>(height) * width;
  }
  SPN_INLINE std::size_t offset(int n, int c) const {
    return (static_cast<std::size_t>(n) * channels + c) * plane();
  }
  SPN_INLINE std::size_t gate_offset(int n, int c) const {
    return (n % gate_num) * gate_stride + c * plane();
  }
  // Where element i of the line at `step` (0 is where the scan starts) lies.
  SPN_INLINE std::size_t at(int step, int i) const {
    const int t = reverse ? steps() - 1 - step : step;
    return horizontal ? static_cast<std::size_t>(i) * width + t
                      : static_cast<std::size_t>(t) * width + i;
  }
};

template <typename Dtype>
struct Three {
  Dtype v[3];
};

// exp(x) for |x| <= 28.  In float by a polynomial, which the compiler vectorizes
// and the GPU computes to the same bits; relative error below 3e-7.
SPN_INLINE double BoundedExp(double x) { return exp(x); }

SPN_INLINE float BoundedExp(float x) {
  // exp(x) = 2^n exp(r), |r| <= ln(2) / 2; adding and taking away 1.5 * 2^23
  // rounds to a whole number.
  const float n = (x * 1.44269504f + 12582912.f) - 12582912.f;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  // The terms of exp's series up to r^6 / 6!.
  float e = 1.f / 720;
  e = e * r + 1.f / 120;
  e = e * r + 1.f / 24;
  e = e * r + 1.f / 6;
  e = e * r + 0.5f;
  e = e * r + 1.f;
  e = e * r + 1.f;
  const int bits = (static_cast<int>(n) + 127) << 23;
  float power;
  memcpy(&power, &bits, sizeof(power));
  return e * power;
}

// 1 / (1 + exp(-g)) of three gates, by one division.  Beyond 28 a sigmoid is 0
// or 1 to 1e-12; within, the product of the three denominators is in float's range.
template <typename Dtype>
SPN_INLINE Three<Dtype> Sigmoids(const Three<Dtype>& g) {
  Three<Dtype> d;
  for (int k = 0; k < 3; ++k) {
    const Dtype x = g.v[k] < -28 ? Dtype(-28) : (g.v[k] > 28 ? Dtype(28) : g.v[k]);
    d.v[k] = 1 + BoundedExp(-x);
  }
  const Dtype inverse = 1 / (d.v[0] * d.v[1] * d.v[2]);
  return {{d.v[1] * d.v[2] * inverse, d.v[0] * d.v[2] * inverse,
           d.v[0] * d.v[1] * inverse}};
}

SPN_INLINE float Abs(float x) { return fabsf(x); }
SPN_INLINE double Abs(double x) { return fabs(x); }

// One over the sum of the absolute values; 0 where they are all 0, or so small
// that it is no number.
template <typename Dtype>
SPN_INLINE Dtype InverseAbsSum(const Three<Dtype>& g) {
  const Dtype sum = Abs(g.v[0]) + Abs(g.v[1]) + Abs(g.v[2]);
  const bool is_safe = sum > Dtype(1e-37);
  const Dtype inverse = 1 / (is_safe ? sum : Dtype(1));
  return is_safe ? inverse : Dtype(0);
}

// What the sigmoids s are multiplied by in CONVEX: 1 / max(1, s_0 + s_1 + s_2).
template <typename Dtype>
SPN_INLINE Dtype InverseConvexSum(const Three<Dtype>& s) {
  const Dtype sum = s.v[0] + s.v[1] + s.v[2];
  return 1 / (sum > 1 ? sum : Dtype(1));
}

template <typename Dtype>
SPN_INLINE Three<Dtype> Scaled(const Three<Dtype>& g, Dtype factor) {
  return {{g.v[0] * factor, g.v[1] * factor, g.v[2] * factor}};
}

// The gates that a scan works with, from the gates of the blob.
template <Normalization kind, typename Dtype>
SPN_INLINE Three<Dtype> Normalize(const Three<Dtype>& g) {
  if (kind == ABS_SUM) {
    return Scaled(g, InverseAbsSum(g));
  } else if (kind == CONVEX) {
    const Three<Dtype> s = Sigmoids(g);
    return Scaled(s, InverseConvexSum(s));
  }
  return g;
}

// The gradient with respect to the gates of the blob, from `d`, that with
// respect to the normalized ones.  It is taken as 0 where ABS_SUM gives 0.
template <Normalization kind, typename Dtype>
SPN_INLINE Three<Dtype> NormalizeAdjoint(const Three<Dtype>& g,
                                         const Three<Dtype>& d) {
  Three<Dtype> result;
  if (kind == ABS_SUM) {
    const Dtype inverse = InverseAbsSum(g);
    const Dtype mean = (d.v[0] * g.v[0] + d.v[1] * g.v[1] + d.v[2] * g.v[2])
        * inverse;
    for (int k = 0; k < 3; ++k) {
      const Dtype sign = g.v[k] > 0 ? Dtype(1) : (g.v[k] < 0 ? Dtype(-1) : Dtype(0));
      result.v[k] = (d.v[k] - sign * mean) * inverse;
    }
    return result;
  } else if (kind == CONVEX) {
    const Three<Dtype> s = Sigmoids(g);
    const Dtype inverse = InverseConvexSum(s);
    const Dtype product = (d.v[0] * s.v[0] + d.v[1] * s.v[1] + d.v[2] * s.v[2])
        * inverse;
    const Dtype mean = inverse < 1 ? product : Dtype(0);
    for (int k = 0; k < 3; ++k) {
      result.v[k] = (d.v[k] - mean) * inverse * s.v[k] * (1 - s.v[k]);
    }
    return result;
  }
  return d;
}

// A gate whose neighbour lies outside the image counts as 0.
template <typename Dtype>
SPN_INLINE Three<Dtype> AtBorder(const Three<Dtype>& e, bool first, bool last) {
  return {{first ? Dtype(0) : e.v[0], e.v[1], last ? Dtype(0) : e.v[2]}};
}

// h = (1 - e0 - e1 - e2) x + e0 h0 + e1 h1 + e2 h2, with the neighbours h_k.
template <typename Dtype>
SPN_INLINE Dtype Propagate(Dtype x, const Three<Dtype>& e, Dtype h0, Dtype h1,
                           Dtype h2) {
  return (1 - e.v[0] - e.v[1] - e.v[2]) * x + e.v[0] * h0 + e.v[1] * h1
      + e.v[2] * h2;
}

// What reaches x, given delta, what reaches h.
template <typename Dtype>
SPN_INLINE Dtype PropagateAdjointX(const Three<Dtype>& e, Dtype delta) {
  return (1 - e.v[0] - e.v[1] - e.v[2]) * delta;
}

// What reaches the gates; nothing where a neighbour lies outside.
template <typename Dtype>
SPN_INLINE Three<Dtype> PropagateAdjointGates(Dtype x, Dtype h0, Dtype h1,
    Dtype h2, bool first, bool last, Dtype delta) {
  return AtBorder<Dtype>({{delta * (h0 - x), delta * (h1 - x), delta * (h2 - x)}},
                         first, last);
}

// 1 / x, with an exact 0 replaced by 0.0001; and its adjoint, from y = 1 / x.
template <typename Dtype>
SPN_INLINE Dtype Reciprocal(Dtype x) {
  return 1 / (x == 0 ? Dtype(0.0001) : x);
}

template <typename Dtype>
SPN_INLINE Dtype ReciprocalAdjoint(Dtype y, Dtype delta) {
  return -delta * y * y;
}

}  // namespace spn

#endif  // SPN_PROPAGATION_HPP_
