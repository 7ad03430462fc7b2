"""The published layout of ResNetF's head, and its exact conversion to ours.

Published: dense 4x4 deconvolutions over 2048 and 3072 channels whose kernels
are zero off the diagonal, then a 1x1 convolution `feat08` over 3584 joined
channels.  That is the sum of three 1x1 convolutions that run before the
upsampling, if every channel is upsampled by the same kernel.
"""

import numpy as np

from segspn.errors import UserError

UPSAMPLING = ("upsample_res5", "upsample_res4", "upscore")


def bilinear_kernel(size):
    """Bilinear upsampling kernel, float32, size x size, for a stride of size / 2.

    The kernel of Long, Shelhamer and Darrell, CVPR 2015, section 3.3.
    """
    factor = (size + 1) // 2
    centre = factor - 1 if size % 2 else factor - 0.5
    weight = 1 - np.abs(np.arange(size) - centre) / factor
    return np.outer(weight, weight).astype(np.float32)


def set_bilinear(net):
    """Gives every layer with 'up' in its name the bilinear kernel, zero across channels."""
    for name, blobs in net.params.items():
        if "up" in name:
            kernel = blobs[0].data
            if kernel.ndim != 4 or kernel.shape[2] != kernel.shape[3]:
                raise UserError(f"layer {name} has 'up' in its name, but is no upsampling layer")
            kernel[...] = 0
            channels = np.arange(kernel.shape[0])
            across = channels if kernel.shape[1] == kernel.shape[0] else 0
            kernel[channels, across] = bilinear_kernel(kernel.shape[2])


def is_published(blobs):
    """Whether {layer: arrays} has the head of 2017."""
    return "feat08" in blobs and "feat08_res3" not in blobs


def diagonal(name, weight):
    """The one kernel, k x k, of an upsampling over C channels; C x C x k x k or C x 1 x k x k.

    Raises UserError where channels are mixed, or upsampled in different ways.
    """
    if weight.ndim != 4 or weight.shape[1] not in (1, weight.shape[0]):
        raise UserError(f"{name} has the shape {weight.shape}, not that of an upsampling")
    channels, kernels = weight.shape[0], weight[:, 0]
    if weight.shape[1] > 1:
        kernels = weight[np.arange(channels), np.arange(channels)]
        if np.count_nonzero(weight) != np.count_nonzero(kernels):
            mixed = np.count_nonzero(weight, axis=(2, 3))
            np.fill_diagonal(mixed, 0)
            i, o = np.unravel_index(np.argmax(mixed != 0), mixed.shape)
            raise UserError(f"{name} mixes channels, so it has no projected form: the kernel "
                            f"from channel {i} to channel {o} is not zero")
    other = np.flatnonzero((kernels != kernels[0]).any(axis=(1, 2)))
    if other.size:
        raise UserError(f"{name} has no projected form: channel {other[0]} is upsampled "
                        "by another kernel than channel 0")
    return kernels[0]


def to_projected(blobs):
    """{layer: arrays} of the projected head from that of the published one; others as they are.

    Raises UserError where the head has no projected form, or is not whole.
    """
    for name in ("feat08", "score08", "scale_res3", "scale_res4", *UPSAMPLING):
        if name not in blobs:
            raise UserError(f"the published layout has a layer {name}, which is missing")
    if [blob.ndim for blob in blobs["feat08"]] not in ([4, 1], [4, 4]):
        raise UserError("feat08 of the published layout has a kernel and a bias, not arrays of "
                        f"the shapes {[blob.shape for blob in blobs['feat08']]}")
    weight, bias = blobs["feat08"]
    features = weight.shape[0]
    channels3, channels4 = blobs["scale_res3"][0].size, blobs["scale_res4"][0].size
    channels5 = weight.shape[1] - channels3 - channels4
    if (blobs["upsample_res5"][0].shape[:1] != (channels5,)
            or blobs["upsample_res4"][0].shape[:1] != (channels4 + channels5,)):
        raise UserError(f"feat08 takes {weight.shape[1]} channels, which the layers before it "
                        "do not give")
    projected = dict(blobs)
    del projected["feat08"]
    # concat_res3 is (concat_res4, res3), and concat_res4 is (res4, res5).
    res4, res5, res3 = np.split(weight, [channels4, channels4 + channels5], axis=1)
    projected.update(feat08_res4=[res4], feat08_res5=[res5], feat08_res3=[res3, bias])
    for name, width in zip(UPSAMPLING, (features, features, blobs["score08"][0].shape[0])):
        kernel = diagonal(name, blobs[name][0])
        projected[name] = [np.broadcast_to(kernel, (width, 1, *kernel.shape)).copy()]
    return projected
