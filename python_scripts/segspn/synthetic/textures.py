"""Textures with the statistics of natural ones: noise of many octaves, patterns, earthy colours.

All is drawn from the generator that is given: one state of it, one texture.
A field is float32, H x W, of about mean 0 and deviation 1.
"""

import cv2
import numpy as np

# Hue (degrees) and its deviation, saturation, and value of what one films.
MATERIALS = ((95, 20, 0.45, 0.40),   # foliage
             (75, 12, 0.50, 0.55),   # grass
             (30, 12, 0.45, 0.42),   # earth, wood
             (40, 40, 0.10, 0.50),   # stone
             (210, 12, 0.40, 0.80),  # sky
             (195, 15, 0.45, 0.45),  # water
             (27, 9, 0.52, 0.58),    # fur
             (20, 6, 0.42, 0.75),    # skin, sand
             (210, 40, 0.07, 0.88),  # snow, white fur
             (220, 60, 0.25, 0.16),  # shade, black fur
             (0, 180, 0.65, 0.62))   # cloth, paint: any hue


def colours(rng, count=5):
    """Colours of one material, dark to bright: float32, `count` x 3, BGR, 0..255."""
    hue, spread, saturation, value = MATERIALS[rng.integers(len(MATERIALS))]
    hues = (hue + spread * rng.normal() + rng.normal(0, 9, count)) % 360
    saturations = np.clip(saturation * rng.uniform(0.6, 1.3) + rng.normal(0, 0.06, count), 0, 1)
    contrast = rng.uniform(0.12, 0.4)
    values = value * np.exp(contrast * np.linspace(-2, 1.2, count) + rng.normal(0, 0.08, count))
    hsv = np.stack([hues, saturations, np.clip(values, 0.03, 1)], axis=1).astype(np.float32)
    return cv2.cvtColor(hsv[None], cv2.COLOR_HSV2BGR)[0] * 255


def standard(field):
    """`field` at mean 0 and deviation 1."""
    return (field - field.mean()) / (field.std() + 1e-6)


def noise(rng, size, grain, roughness=0.55, stretch=1.0):
    """A field of octaves from `grain` px, halved down to 1.5 px, each `roughness` times the last.

    stretch: how much longer its grains are across the width.
    """
    height, width = size
    total, weight = np.zeros(size, np.float32), 1.0
    while True:
        grid = (int(height / grain) + 2, int(width / (grain * stretch)) + 2)
        cells = rng.standard_normal(grid, np.float32)
        way = cv2.INTER_CUBIC if grain > 6 else cv2.INTER_LINEAR  # fine grains look the same
        total += weight * cv2.resize(cells, (width, height), interpolation=way)
        grain, weight = grain / 2, weight * roughness
        if grain < 1.5:
            return standard(total)


def bent(rng, field, grain, reach):
    """`field` with its coordinates displaced by noise, of `reach` px deviation."""
    size = field.shape[:2]
    rows, columns = np.indices(size, np.float32)
    columns += reach * noise(rng, size, grain, 0.4)
    rows += reach * noise(rng, size, grain, 0.4)
    return cv2.remap(field, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def fur(rng, size, grain):
    """Strands along a direction that winds."""
    side = int(np.hypot(*size)) + 2
    strands = noise(rng, (side, side), max(grain / 3, 3), 0.8, stretch=rng.uniform(4, 9))
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), rng.uniform(0, 180), 1)
    turned = cv2.warpAffine(strands, turn, (side, side), borderMode=cv2.BORDER_REFLECT)
    return bent(rng, turned[:size[0], :size[1]], grain * 2, grain / 4)


def stripes(rng, size, grain):
    """Bands that waver, sharp or soft."""
    rows, columns = np.indices(size, np.float32)
    angle = rng.uniform(0, np.pi)
    along = (columns * np.cos(angle) + rows * np.sin(angle)) / (grain * rng.uniform(0.4, 1.2))
    waver = rng.uniform(0, 2) * noise(rng, size, grain * 2, 0.5)
    bands = np.sin(2 * np.pi * along + waver) + rng.uniform(-0.5, 0.5)
    return standard(np.tanh(rng.uniform(1, 8) * bands) + 0.35 * noise(rng, size, grain))


def spots(rng, size, grain):
    """Blotches with sharp rims, as of a cow or a leopard."""
    blotches = noise(rng, size, grain * rng.uniform(0.4, 1.2), 0.25)
    sharp = np.tanh(rng.uniform(4, 12) * (blotches - rng.uniform(-0.4, 0.9)))
    return standard(sharp + 0.4 * noise(rng, size, grain))


def cells(rng, size, grain):
    """Cells of a plane, each of a tone of its own, with seams: pebbles, scales, a net."""
    height, width = size
    seeds = np.ones(size, np.uint8)
    count = max(2, int(height * width / (grain * rng.uniform(0.3, 0.9)) ** 2))
    seeds[rng.integers(0, height, count), rng.integers(0, width, count)] = 0
    distance, label = cv2.distanceTransformWithLabels(
        seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    tones = rng.standard_normal(label.max() + 1, np.float32)[label]
    return standard(tones - rng.uniform(0, 1.5) * standard(distance)
                    + 0.4 * noise(rng, size, grain))


def plaid(rng, size, grain):
    """Woven bands, crossing at right angles: cloth, tiles, windows."""
    fields = []
    for extent in size:
        place = np.arange(extent) / (grain * rng.uniform(0.3, 0.9))
        fields.append(np.tanh(8 * (np.sin(2 * np.pi * place) + rng.uniform(-0.8, 0.8)))
                      + np.tanh(8 * (np.sin(2.7 * np.pi * place) - 0.6)))
    woven = (fields[0][:, None] + fields[1][None]).astype(np.float32)
    woven = bent(rng, standard(woven), grain * 3, rng.uniform(0, grain / 4))
    return standard(woven + 0.4 * noise(rng, size, grain / 2))


def leaves(rng, size, grain):
    """Shapes of all sizes lying on each other, most of them small ("dead leaves")."""
    height, width = size
    smallest = max(1.5, grain / 10)
    count = min(3000, int(0.8 * height * width / smallest ** 2 / 8))
    radii = smallest / rng.uniform(smallest / grain, 1, count)
    tones = rng.standard_normal(count)
    field = np.zeros(size, np.float32)
    for radius, tone, (x, y) in zip(radii, tones, rng.uniform(0, 1, (count, 2))):
        centre = (int(x * width), int(y * height))
        axes = (max(1, int(radius)), max(1, int(radius * rng.uniform(0.2, 1))))
        cv2.ellipse(field, centre, axes, rng.uniform(0, 180), 0, 360, float(tone), -1)
    return standard(cv2.GaussianBlur(field, (0, 0), 0.7) + 0.3 * noise(rng, size, grain))


def strokes(rng, size, grain):
    """Thin bent lines, most of them in one direction: grass, twigs, hair, cracks."""
    height, width = size
    field = 0.8 * noise(rng, size, grain)
    length, spread = grain * rng.uniform(0.4, 1.2), rng.choice([0.15, 0.4, 2])
    count = min(2500, int(rng.uniform(0.3, 2.5) * height * width / (2 * length)))
    starts = rng.uniform(-0.1, 1.1, (count, 1, 2)) * (width, height)
    angles = rng.uniform(0, 2 * np.pi) + spread * rng.standard_normal((count, 1))
    angles = angles + rng.normal(0, 0.4, (count, 1)) * np.arange(5)
    steps = np.stack([np.cos(angles), np.sin(angles)], axis=2) * (length / 4)
    lines = np.round((starts + np.cumsum(steps, axis=1)) * 16).astype(np.int32)
    thick = 1 + rng.integers(0, max(2, int(grain / 12)), count)
    for line, tone, width_of in zip(lines, rng.normal(0, 1.3, count), thick):
        cv2.polylines(field, [line], False, float(tone), int(width_of), shift=4)
    return standard(cv2.GaussianBlur(field, (0, 0), 0.5))


PATTERNS = (noise, fur, stripes, spots, cells, plaid, leaves, strokes)
ODDS = (0.17, 0.16, 0.1, 0.14, 0.1, 0.06, 0.12, 0.15)


def painted(field, ramp):
    """A field in colours: uint8, H x W x 3; low values in the first colours of `ramp`."""
    places = np.linspace(0, len(ramp) - 1, 256)
    table = np.stack([np.interp(places, np.arange(len(ramp)), ramp[:, c]) for c in range(3)], 1)
    steps = np.clip(field * 48 + 128, 0, 255).astype(np.uint8)
    return np.clip(table, 0, 255).astype(np.uint8)[steps]


def texture(rng, size, grain, ramp):
    """A texture of any pattern: uint8, H x W x 3 BGR.

    grain: px, of its coarsest detail.  ramp: as colours() gives it.
    """
    field = rng.choice(PATTERNS, p=ODDS)(rng, size, max(grain, 4))
    image = painted(field, ramp).astype(np.float32)
    shade = (0.08 * noise(rng, size, 4 * grain)
             + rng.uniform(0.02, 0.13) * noise(rng, size, min(grain, 12), 0.9))
    return np.clip(image * (1 + shade[..., None]), 0, 255).astype(np.uint8)


def patched(rng, image, other):
    """`image` with sharp-rimmed patches of `other`, both uint8, H x W x 3."""
    size = image.shape[:2]
    mask = noise(rng, size, max(size) * rng.uniform(0.15, 0.4), 0.3) - rng.uniform(0, 0.8)
    mask = np.clip(mask * max(size) / 8 + 0.5, 0, 1)[..., None]
    return (image * (1 - mask) + other * mask).astype(np.uint8)


def ridge(rng, size, height, rough):
    """Where the columns' lower part begins, float mask H x W: 1 below a ridge at `height` px."""
    line = height + rough * noise(rng, (1, size[1]), size[1] / 3, 0.5)[0]
    return np.clip(np.arange(size[0])[:, None] - line[None], 0, 1).astype(np.float32)


def lying(image, rng):
    """`image` seen as a plane that recedes: its upper rows are compressed."""
    height, width = image.shape[:2]
    shrink = width * rng.uniform(0.1, 0.4)
    corners = np.float32([[0, 0], [width, 0], [width, height], [0, height]])
    seen = np.float32([[0, 0], [width, 0], [width + shrink * 2, height], [-shrink * 2, height]])
    warp = cv2.getPerspectiveTransform(corners, seen)
    return cv2.warpPerspective(image, warp, (width, height), borderMode=cv2.BORDER_REFLECT)


def background(rng, size, grain):
    """(image, ramps): a background of one to four layers, uint8 H x W x 3, and their colours."""
    ramps = [colours(rng) for _ in range(rng.integers(1, 5))]
    image = texture(rng, size, grain * rng.uniform(0.6, 2), ramps[0])
    levels = np.sort(rng.uniform(0.1, 0.9, len(ramps) - 1)) * size[0]
    for ramp, level in zip(ramps[1:], levels):
        layer = texture(rng, size, grain * rng.uniform(0.4, 1.5), ramp)
        if rng.random() < 0.6:
            layer = lying(layer, rng)
        rough = size[0] * rng.choice([0.005, 0.03, 0.1])
        mask = ridge(rng, size, level, rough)[..., None]
        image = (image * (1 - mask) + layer * mask).astype(np.uint8)
    return image, ramps
