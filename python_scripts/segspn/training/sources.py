"""The training sets by the name of their Caffe layer in segspn.layers.

A source is made from a param_str; it has `parameters` (a dict with a seed),
`shapes` of its three arrays, sample(seed, iteration) and fingerprint().  Nothing here
needs Caffe: it runs in the process that prepares samples, too.
"""

from segspn.training import refinement_crops, samples

KINDS = {kind.__name__: kind for kind in (
    samples.FirstFrameObject, samples.FirstFrameForeground, samples.GenericForeground,
    refinement_crops.RefinementCrops)}
