#include "memory_plan.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "caffe/net.hpp"

namespace caffe {

namespace {

// Layers that write all of their tops, and of the diffs of their bottoms, and
// that keep no pointers to them.
bool IsKnown(const std::string& type) {
  static const std::set<std::string> known = {"Convolution", "Deconvolution", "BatchNorm",
      "Scale", "ReLU", "Eltwise", "Pooling", "Crop", "Concat", "Slice", "Tile", "Softmax",
      "Split", "SpatialPropagation"};
  return known.count(type) > 0;
}

// When a blob is in use: from one layer to another, in the order of the pass.
template <typename Dtype>
struct Life {
  Blob<Dtype>* blob;
  int first, last;
  bool shareable;
};

template <typename Dtype>
class Plan {
 public:
  Plan(const Net<Dtype>& net, const std::vector<int>& taken_by)
      : net_(net), taken_by_(taken_by), diffs_(net.phase() == TRAIN) {
    FindLives();
  }

  void Share() {
    std::vector<Life<Dtype> > lives;
    for (const auto& entry : lives_) {
      if (entry.second.shareable && entry.second.first <= entry.second.last) {
        lives.push_back(entry.second);
      }
    }
    std::sort(lives.begin(), lives.end(), [](const Life<Dtype>& a, const Life<Dtype>& b) {
      return a.first != b.first ? a.first < b.first : a.blob->count() > b.blob->count();
    });
    // Each blob takes the piece of memory, of those that are free, that fits best.
    std::vector<Piece> pieces;
    for (const Life<Dtype>& life : lives) {
      Piece* best = nullptr;
      for (Piece& piece : pieces) {
        if (piece.until < life.first && (!best || Fits(piece, *best, life.blob->count()))) {
          best = &piece;
        }
      }
      if (!best) {
        pieces.emplace_back();
        best = &pieces.back();
      }
      best->until = life.last;
      best->size = std::max(best->size, life.blob->count());
      best->blobs.push_back(life.blob);
    }
    for (const Piece& piece : pieces) {
      Give(piece);
    }
  }

 private:
  struct Piece {
    int until = -1, size = 0;
    std::vector<Blob<Dtype>*> blobs;
  };

  static bool Fits(const Piece& a, const Piece& b, int count) {
    const bool a_holds = a.size >= count, b_holds = b.size >= count;
    return a_holds != b_holds ? a_holds : a_holds ? a.size < b.size : a.size > b.size;
  }

  void Give(const Piece& piece) const {
    Blob<Dtype> memory(std::vector<int>(1, piece.size));
    for (Blob<Dtype>* blob : piece.blobs) {
      memory.Reshape(std::vector<int>(1, blob->count()));
      if (diffs_) {
        blob->ShareDiff(memory);
      } else {
        blob->ShareData(memory);
      }
    }
  }

  // Place of a layer in the order of the pass: backward, the last one is the first.
  int Place(int layer) const {
    return diffs_ ? static_cast<int>(net_.layers().size()) - 1 - layer : layer;
  }

  void FindLives() {
    for (int i = 0; i < net_.layers().size(); ++i) {
      const std::string& type = net_.layers()[i]->layer_param().type();
      const std::vector<Blob<Dtype>*>& bottoms = net_.bottom_vecs()[i];
      const std::vector<Blob<Dtype>*>& tops = net_.top_vecs()[i];
      // These share their bottom where it is the only one, not by this plan.
      const bool known = IsKnown(type) && !(type == "Concat" && bottoms.size() == 1) &&
          !(type == "Slice" && tops.size() == 1);
      for (int k = 0; k < bottoms.size(); ++k) {
        // A diff that nobody writes must stay 0, where others are added to it.
        const bool written = net_.layer_need_backward()[i] &&
            net_.bottom_need_backward()[i][k] && !(type == "Crop" && k > 0);
        Use(bottoms[k], i, known && (!diffs_ || written));
      }
      for (Blob<Dtype>* top : tops) {
        Use(top, i, known);
        if (type == "Split" && !diffs_) {
          owner_[top] = Owner(bottoms[0]);
          Use(top, i, known);
        }
      }
      for (int k = 0; k < tops.size(); ++k) {
        if (net_.blob_loss_weights()[net_.top_ids(i)[k]]) {
          Use(tops[k], i, false);
        }
      }
    }
    for (const std::vector<Blob<Dtype>*>& ends : {net_.input_blobs(), net_.output_blobs()}) {
      for (Blob<Dtype>* blob : ends) {
        Use(blob, -1, false);
      }
    }
  }

  // The blob whose memory a blob has: that before a Split.
  Blob<Dtype>* Owner(Blob<Dtype>* blob) const {
    const auto found = owner_.find(blob);
    return found == owner_.end() ? blob : found->second;
  }

  void Use(Blob<Dtype>* blob, int layer, bool known) {
    blob = Owner(blob);
    auto found = lives_.find(blob);
    if (found == lives_.end()) {
      found = lives_.insert({blob, {blob, INT_MAX, -1, true}}).first;
    }
    Life<Dtype>& life = found->second;
    life.shareable &= known && blob->count() > 0;
    if (layer < 0) {
      return;
    }
    // Also where the layer's work is done by the convolution that took it over.
    for (int at : {layer, taken_by_[layer] < 0 ? layer : taken_by_[layer]}) {
      life.first = std::min(life.first, Place(at));
      life.last = std::max(life.last, Place(at));
    }
  }

  const Net<Dtype>& net_;
  const std::vector<int>& taken_by_;
  const bool diffs_;
  std::map<Blob<Dtype>*, Life<Dtype> > lives_;
  std::map<Blob<Dtype>*, Blob<Dtype>*> owner_;
};

}  // namespace

template <typename Dtype>
void ShareMemory(const Net<Dtype>& net, const std::vector<int>& taken_by) {
  Plan<Dtype>(net, taken_by).Share();
}

template void ShareMemory<float>(const Net<float>& net, const std::vector<int>& taken_by);
template void ShareMemory<double>(const Net<double>& net, const std::vector<int>& taken_by);

}  // namespace caffe
