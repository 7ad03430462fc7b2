"""Random crops of a frame around its object, for training at full resolution.

A crop costs what its pixels cost, whatever the frame's size; small objects are seen as large
as they are.  Random numbers come from the caller, a function of (seed, iteration).
"""

from dataclasses import dataclass

import numpy as np

from segspn.errors import UserError
from segspn.training import augment

NEAR_OBJECT = 0.75  # share of the crops whose window is drawn to have a pixel of the object


@dataclass(frozen=True)
class Crops:
    """How crops are drawn.

    size     (height, width), px
    batch    crops an iteration
    scale    (least, greatest) factor, drawn so that its logarithm is uniform
    angle    U(-angle, angle), degrees
    colour   strength of augment.recoloured
    balance  of the loss: 0, every pixel counts alike; 1, each class counts one half in all
    """

    size: tuple
    batch: int = 1
    scale: tuple = (1.0, 1.0)
    angle: float = 0.0
    colour: float = 0.0
    balance: float = 0.0

    @classmethod
    def parse(cls, values):
        """From the dict of a param_str.  Raises UserError where it describes no crops."""
        try:
            crops = cls(**values)
            numbers = [*crops.size, *crops.scale, crops.batch, crops.angle, crops.colour,
                       crops.balance]
            is_right = (len(crops.size) == len(crops.scale) == 2
                        and all(type(n) is int and 32 <= n <= 4096 for n in crops.size)
                        and type(crops.batch) is int and 1 <= crops.batch <= 256
                        and all(0 <= n < np.inf for n in numbers)
                        and 0.05 <= crops.scale[0] <= crops.scale[1] <= 20
                        and crops.angle <= 180 and crops.colour <= 1 and crops.balance <= 1)
        except TypeError:
            is_right = False
        if not is_right:
            raise UserError("crops must have a size of two whole numbers from 32 to 4096, and "
                            "may have batch, scale (two factors from 0.05 to 20), angle, colour "
                            f"and balance (0 to 1), not {values!r}")
        return crops

    def draw(self, rng, foreground):
        """A random warp, float64 2 x 3: pixel (x, y, 1) of the frame to (x, y) of the crop.

        foreground: bool, H x W.
        """
        shape, window = np.array(foreground.shape[::-1]), np.array(self.size[::-1])
        factor = np.exp(rng.uniform(*np.log(self.scale)))
        angle = np.deg2rad(rng.uniform(-self.angle, self.angle))
        centre = rng.random(2) * shape
        if rng.random() < NEAR_OBJECT and foreground.any():
            centre = random_pixel(rng, foreground) + (rng.random(2) - 0.5) * window / factor
        reach = (window - 1) / (2 * factor)  # in px of the frame, were the window not turned
        centre = np.where(2 * reach < shape - 1, np.clip(centre, reach, shape - 1 - reach),
                          (shape - 1) / 2)
        cosine, sine = factor * np.cos(angle), factor * np.sin(angle)
        linear = np.array([[cosine, sine], [-sine, cosine]])
        if rng.integers(2):
            linear[:, 0] *= -1
        return np.hstack([linear, ((window - 1) / 2 - linear @ centre)[:, None]])

    def cut(self, rng, image, foreground, void):
        """A random crop: (image, foreground, void) at self.size."""
        matrix = self.draw(rng, foreground)
        image, masks = augment.warp(image, [foreground, void], matrix, self.size)
        return augment.recoloured(rng, image, self.colour) if self.colour else image, *masks

    def weight(self, foreground, void):
        """float32 H x W, of the loss; 0 where void, else (0.5 / share of its class)^balance."""
        share = (foreground & ~void).sum() / max((~void).sum(), 1)
        share = np.clip(share, 0.01, 0.99)
        weight = np.where(foreground, (0.5 / share) ** self.balance,
                          (0.5 / (1 - share)) ** self.balance).astype(np.float32)
        weight[void] = 0
        return weight


def random_pixel(rng, mask):
    """(x, y) of a random pixel of a mask that has one, float64."""
    flat = np.flatnonzero(mask)
    row, column = divmod(int(flat[rng.integers(len(flat))]), mask.shape[1])
    return np.array([column, row], np.float64)
