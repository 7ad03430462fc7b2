"""Real coarse maps to train refinement with: what a foreground model says of training images.

A foreground model, as the generic one, gives one score map a frame: it is that of an object
where the annotation has no other.  Frames of several objects get none.
"""

import numpy as np
from tqdm import tqdm

from segspn import done, files
from segspn.caffenet import deploy, device
from segspn.data import davis
from segspn.method import score_maps
from segspn.training import refinement_crops

FOLDER = "testnet_per_obj"  # whose deploy nets give probabilities


class _NearOwnSize(score_maps.SegmentationNet):
    """A foreground model near the size of each frame, times `scale`."""

    def __init__(self, weights_path, scale):
        super().__init__(score_maps.load_net(weights_path, FOLDER, scale))
        self._scale = scale

    def probability(self, frame):
        self._size = deploy.near_size(frame.shape[:2], self._scale)
        self._net.blobs["data"].reshape(1, 3, *self._size)
        self._net.reshape()  # of all layers: a convolution writes to blobs of later ones
        return super().probability(frame)


def write(sources, weights_path, output, scale=1.0, gpu=None):
    """Makes <output>/<folder of the frame>/<frame>_<object>.png of the frames that have none yet.

    sources: as of RefinementCrops; scale: of the net's input to the frame.  A run that was
    stopped goes on.  Returns how many were made.  Raises UserError.
    """
    record = done.Record(output / done.NAME, {"scale": scale}, [weights_path])
    frames = [(data, paths) for source in sources for data in [refinement_crops.opened(source)[0]]
              for paths in refinement_crops.annotated_frames(source)]
    net, made = None, 0
    for data, paths in tqdm(frames, unit="frame", dynamic_ncols=True, desc=output.name):
        frame, annotation = data.pair(*paths)
        objects = davis.objects_of(annotation)
        if len(objects) != 1:
            continue
        product = output / paths[0].parent.name / f"{paths[0].stem}_{objects[0]}.png"
        if record.is_done([product], paths):
            continue
        if net is None:
            device.use(gpu)
            net = _NearOwnSize(weights_path, scale)
        with record.making([product], paths):
            files.write_image(product, np.rint(net.probability(frame) * 255).astype(np.uint8))
        made += 1
    return made
