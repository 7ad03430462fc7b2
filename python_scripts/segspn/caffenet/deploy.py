"""The deploy nets, which alone are tracked: where they are, and which one a user means."""

from ResNetF import LONGEST_SIDE, nets
from segspn import files
from segspn.errors import UserError
from spn import nets as refinement

GENERIC = "generic"  # the recipe of the generic training, where it is one of its own


def resnetf_path(backbone, folder):
    """The deploy prototxt of a backbone in testnet_fgbg or testnet_per_obj."""
    suffix = "" if backbone is nets.RESNET101 else f"_{backbone.name}"
    return files.ROOT / "ResNetF" / folder / f"deploy{suffix}.prototxt"


def refinement_path(net):
    """The deploy prototxt of a refinement net."""
    return files.ROOT / "spn" / net.name / "deploy.prototxt"


def resnetf_nets():
    """{path: NetParameter} of ResNetF's deploy nets."""
    return {resnetf_path(backbone, folder): nets.deploy(backbone, prob)
            for backbone in nets.BACKBONES.values()
            for folder, prob in (("testnet_fgbg", False), ("testnet_per_obj", True))}


def refinement_nets():
    """{path: NetParameter} of the refinement nets' deploy nets."""
    return {refinement_path(net): refinement.deploy(net) for net in refinement.NETS.values()}


def default_backbone():
    """ResNet-101 where ResNetF's weights are at hand, else the thin one."""
    given = (files.PYTHON_SCRIPTS / nets.RESNET101.weights).is_file()
    return nets.RESNET101 if given else nets.RESNET50_THIN


def with_recipe(backbone, name):
    """A backbone with the training of this name; None is its own.  Raises UserError."""
    if name and name not in backbone.recipes:
        known = ", ".join(backbone.recipes) or "none"
        raise UserError(f"--recipe {name}: {backbone.name} has no training of this name; "
                        f"beside its own it has: {known}")
    return backbone.recipe(name)


def generic_recipe(backbone):
    """A backbone with its generic training."""
    return backbone.recipe(GENERIC if GENERIC in backbone.recipes else None)


def near_size(shape, scale=1.0):
    """(height, width) near those of an image, times `scale`: multiples of 64.

    These are few, and all nets are defined at them; a size that a net has not had yet costs
    more than its pass.
    """
    return tuple(max(1, round(scale * length / 64)) * 64 for length in shape)


def checked_size(size, backbone):
    """`size`, (height, width).  Raises UserError where the net is not defined at it."""
    if max(size) > LONGEST_SIDE:
        raise UserError("--size {0}x{1}: at most {2}x{2}".format(*size, LONGEST_SIDE))
    if not nets.size_is_valid(backbone, *size):
        text, valid = ("{}x{}".format(*pair)
                       for pair in (size, nets.valid_size(backbone, *size)))
        raise UserError(f"--size {text}: {backbone.name} is not defined at this size; "
                        f"the next is {valid}")
    return size
