"""The training sets by the name of their Caffe layer in segspn.layers.

A source is made from a param_str; it has `parameters` (a dict with a seed),
`shapes` of its three arrays, sample(seed, iteration), fingerprint(), and `places`, the
parameters that are paths.  Nothing here needs Caffe: it runs in the process that prepares
samples, too.
"""

from segspn.training import refinement_crops, samples

KINDS = {kind.__name__: kind for kind in (
    samples.FirstFrameObject, samples.FirstFrameForeground, samples.GenericForeground,
    refinement_crops.RefinementCrops)}


def layers_of(net):
    """The layers of a NetParameter that are training sets, in order."""
    return [layer for layer in net.layer if layer.python_param.module == "segspn.layers"
            and layer.python_param.layer in KINDS]
