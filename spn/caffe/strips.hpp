#ifndef SPN_STRIPS_HPP_
#define SPN_STRIPS_HPP_

// A horizontal scan on a CPU goes through a plane in strips of columns, which
// are transposed into a buffer: there a line is contiguous, as it is in memory
// for a vertical scan.

#ifdef __SSE__
#include <xmmintrin.h>
#endif

#include "propagation.hpp"

namespace spn {

// Steps of a horizontal scan that are transposed at a time: 64 bytes of a row.
const int kStrip = 16;

// Rows of a buffer lie this far apart: no power of two, so that a column of a
// strip does not fall on one set of the cache.  One element is spare on each
// side of a row.
std::size_t Stride(int length) {
  return (static_cast<std::size_t>(length) + 2 + 31) / 32 * 32 + 16;
}

// Reads a plane once from end to end, which brings it into the cache at the speed
// of a stream; strips, which go down the rows, would wait for every line.
template <typename Dtype>
SPN_INLINE void Touch(const Dtype* plane, std::size_t size) {
  Dtype sum = 0;
  for (std::size_t i = 0; i < size; i += 64 / sizeof(Dtype)) {
    sum += plane[i];
  }
  volatile Dtype sink = sum;
  (void)sink;
}

// rows[s * stride + i] = columns[i * width + s * step] for s < count, i < length.
template <typename Dtype>
SPN_INLINE void GatherStrip(const Dtype* columns, std::size_t width, int step,
    int begin, int count, int length, std::size_t stride, Dtype* rows) {
  for (int i = begin; i < length; ++i) {
    for (int s = 0; s < count; ++s) {
      rows[s * stride + i] = columns[i * width + s * step];
    }
  }
}

// columns[i * width + s * step] = rows[s * stride + i], or += with `add`.
template <bool add, typename Dtype>
SPN_INLINE void ScatterStrip(const Dtype* rows, std::size_t stride,
    std::size_t width, int step, int begin, int count, int length,
    Dtype* columns) {
  for (int i = begin; i < length; ++i) {
    for (int s = 0; s < count; ++s) {
      Dtype* target = columns + i * width + s * step;
      *target = rows[s * stride + i] + (add ? *target : Dtype(0));
    }
  }
}

#ifdef __SSE__
// The 4 x 4 block at rows[k] of 4 lines, transposed.
SPN_INLINE void Transpose4(const float* const from[4], float* const to[4]) {
  __m128 r0 = _mm_loadu_ps(from[0]), r1 = _mm_loadu_ps(from[1]);
  __m128 r2 = _mm_loadu_ps(from[2]), r3 = _mm_loadu_ps(from[3]);
  _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
  _mm_storeu_ps(to[0], r0);
  _mm_storeu_ps(to[1], r1);
  _mm_storeu_ps(to[2], r2);
  _mm_storeu_ps(to[3], r3);
}
#endif

// The elements of steps [begin, begin + count) of a plane, one line a row.
template <typename Dtype>
SPN_INLINE void Load(const Scan& scan, const Dtype* plane, int begin, int count,
                     std::size_t stride, Dtype* rows) {
  GatherStrip(plane + scan.at(begin, 0), scan.width, scan.reverse ? -1 : 1, 0,
              count, scan.length(), stride, rows);
}

// And back; with `add`, on top of what is there.
template <bool add, typename Dtype>
SPN_INLINE void Store(const Scan& scan, const Dtype* rows, int begin, int count,
                      std::size_t stride, Dtype* plane) {
  ScatterStrip<add>(rows, stride, scan.width, scan.reverse ? -1 : 1, 0, count,
                    scan.length(), plane + scan.at(begin, 0));
}

#ifdef __SSE__
// Whole strips of float, in blocks of 4 x 4.
SPN_INLINE void Load(const Scan& scan, const float* plane, int begin, int count,
                     std::size_t stride, float* rows) {
  const std::size_t width = scan.width;
  const float* columns = plane + scan.at(begin, 0);
  const int whole = count == kStrip ? scan.length() / 4 * 4 : 0;
  for (int i = 0; i < whole; i += 4) {
    for (int s = 0; s < kStrip; s += 4) {
      const float* block = columns + i * width + (scan.reverse ? -s - 3 : s);
      float* target = rows + i + s * stride;
      const float* const from[4] = {block, block + width, block + 2 * width,
                                    block + 3 * width};
      if (scan.reverse) {
        float* const to[4] = {target + 3 * stride, target + 2 * stride,
                              target + stride, target};
        Transpose4(from, to);
      } else {
        float* const to[4] = {target, target + stride, target + 2 * stride,
                              target + 3 * stride};
        Transpose4(from, to);
      }
    }
  }
  GatherStrip(columns, width, scan.reverse ? -1 : 1, whole, count, scan.length(),
              stride, rows);
}

template <>
SPN_INLINE void Store<false>(const Scan& scan, const float* rows, int begin,
                             int count, std::size_t stride, float* plane) {
  const std::size_t width = scan.width;
  float* columns = plane + scan.at(begin, 0);
  const int whole = count == kStrip ? scan.length() / 4 * 4 : 0;
  for (int i = 0; i < whole; i += 4) {
    for (int s = 0; s < kStrip; s += 4) {
      float* block = columns + i * width + (scan.reverse ? -s - 3 : s);
      const float* source = rows + i + s * stride;
      float* const to[4] = {block, block + width, block + 2 * width,
                            block + 3 * width};
      if (scan.reverse) {
        const float* const from[4] = {source + 3 * stride, source + 2 * stride,
                                      source + stride, source};
        Transpose4(from, to);
      } else {
        const float* const from[4] = {source, source + stride,
                                      source + 2 * stride, source + 3 * stride};
        Transpose4(from, to);
      }
    }
  }
  ScatterStrip<false>(rows, stride, width, scan.reverse ? -1 : 1, whole, count,
                      scan.length(), columns);
}
#endif

}  // namespace spn

#endif  // SPN_STRIPS_HPP_
