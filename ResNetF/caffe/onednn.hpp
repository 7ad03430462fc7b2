#ifndef RESNETF_ONEDNN_HPP_
#define RESNETF_ONEDNN_HPP_

#include <cstddef>
#include <vector>

#include "dnnl.hpp"

namespace onednn {

typedef dnnl::memory::desc Layout;

const dnnl::engine& Engine();

// To be called before what has several threads: as many as OpenBLAS has.  A process
// that is forked later has one, and another result here: what was planned before is
// not for it.
int UseThreads();

// Numbers in the row-major order of Caffe's blobs.
Layout Plain(const std::vector<int>& shape);

// The same shape, in a layout that a primitive may choose.
Layout Any(const std::vector<int>& shape);

// Memory for what is needed during one call only, at least `bytes` of it, which
// all layers share; each slot is another.  It is lost when the slot is asked again.
enum Slot { REORDERED, GRADIENTS, GATHERED, SLOTS };
void* Scratch(Slot slot, std::size_t bytes);

// Copies numbers from one layout into another.
void Reorder(const Layout& from, const void* source, const Layout& to, void* target);

// A primitive, and the reorders of those of its operands that it wants in
// another layout than they are given in.
class Computation {
 public:
  enum Use { READ, WRITTEN, BOTH };

  Computation(const dnnl::primitive& primitive, const Layout& scratchpad)
      : primitive_(primitive), scratchpad_(scratchpad) {}
  void Add(int argument, Use use, const Layout& given, const Layout& wanted);
  // data: pointers to the operands, in the order of Add.
  void Run(const std::vector<const void*>& data);

 private:
  struct Operand {
    int argument;
    Use use;
    Layout given, wanted;
  };
  dnnl::primitive primitive_;
  Layout scratchpad_;
  std::vector<Operand> operands_;
};

}  // namespace onednn

#endif  // RESNETF_ONEDNN_HPP_
