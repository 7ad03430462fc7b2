// Runs the kernels where a thread sanitizer can watch them: lines longer and
// shorter than a block, in shared and in global memory, with shared gates.
#include "emulation.cpp"

#include <vector>

static long Run(const spn::Scan& scan, const spn::Limits& limits) {
  const std::size_t size = scan.num * scan.channels * scan.plane();
  std::vector<float> x(size, 0.5f), h(size), dh(size, 1.f), dx(size);
  std::vector<float> g(3 * size, 0.25f), dg(3 * size);
  const float* const gate[3] = {&g[0], &g[size], &g[2 * size]};
  float* const dgate[3] = {&dg[0], &dg[size], &dg[2 * size]};
  return std::min(forward(&scan, &limits, &x[0], gate, &h[0]),
      backward(&scan, &limits, &x[0], gate, &h[0], &dh[0], &dx[0], dgate));
}

int main() {
  long worst = 0;
  for (const int length : {3, 6}) {
    for (const int gate_num : {1, 2}) {
      for (const std::size_t shared : {48 * 1024, 0}) {
        for (const bool horizontal : {true, false}) {
          const int height = horizontal ? length : 4;
          const int width = horizontal ? 4 : length;
          const std::size_t stride = 2 * height * width;
          worst = std::min(worst, Run({2, 2, height, width, gate_num, stride,
              horizontal, false, spn::CONVEX}, {4, shared, 3}));
        }
      }
    }
  }
  return worst < 0;
}
