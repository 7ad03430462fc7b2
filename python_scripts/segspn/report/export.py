"""What a run has segmented, for other programs: cut-outs with transparency, masks, COCO.

A cut-out has a frame's colours where its objects are, at alpha 255, and alpha 0 elsewhere; it is
straight alpha.  Where it is clear, MARGIN pixels around the objects repeat their nearest colour, so
that no codec mixes another one into their border; all else is black: nothing of the background
goes along.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
from tqdm import tqdm

from segspn import files
from segspn.data import annotations, davis, planes
from segspn.data.staging import Staging
from segspn.errors import UserError
from segspn.report import coco, overlay
from segspn.runs import settings

MARGIN = 16  # px


@dataclass(frozen=True)
class Codec:
    """How ffmpeg writes a video.  pixels: their kinds in its words, as it gets and writes them."""

    encoder: str
    ending: str
    container: str
    pixels: tuple[str, str]
    options: tuple[str, ...]
    is_even: bool = False  # whether sizes must be


BT709 = ("-vf", "scale=out_color_matrix=bt709:out_range=tv,"
         "setparams=color_primaries=bt709:color_trc=bt709")
CODECS = {
    "cutout-webm": Codec("libvpx-vp9", ".webm", "webm", ("bgra", "yuva420p"), (
        *BT709, "-crf", "20", "-b:v", "0", "-auto-alt-ref", "0", "-row-mt", "1",
        "-cpu-used", "2"), is_even=True),
    "cutout-mov": Codec("prores_ks", ".mov", "mov", ("bgra", "yuva444p10le"), (
        *BT709, "-profile:v", "4444", "-vendor", "apl0")),
    "masks": Codec("ffv1", ".mkv", "matroska", ("gray", "gray"), ("-level", "3"))}
PLAIN = ("-fflags", "+bitexact", "-f")  # no random numbers in the file; its container
PNG, COCO = "cutout-png", "coco"
ENDINGS = {PNG: "", **{name: codec.ending for name, codec in CODECS.items()}, COCO: ".json"}
FORMATS = tuple(ENDINGS)


@dataclass(frozen=True)
class Clip:
    """A video that a run has segmented.

    pairs    [(frame, labels)] paths of all its frames, in order
    size     (height, width), px
    known    ids of all objects of the video in this run
    objects  ids of those that are wanted
    names    {object id: name} of those that have one
    """

    video: str
    pairs: list
    size: tuple[int, int]
    known: list
    objects: list
    names: dict

    @classmethod
    def of_run(cls, run, video, objects=()):
        """That of a settings.Run.  objects: ids, or none for all.  Raises UserError."""
        if video not in run.videos:
            raise UserError(f"run {run.name} has no video {video}; it has: "
                            f"{', '.join(run.videos) or 'none'}")
        known = run.videos[video]
        if other := [k for k in objects if k not in known]:
            raise UserError(f"run {run.name} has no object {other[0]} of {video}; it has: "
                            f"{', '.join(map(str, known))}")
        folder, frames = run.folder / "labels" / video, run.data_set.frames(video)
        pairs = [(path, folder / f"{path.stem}.png") for path in frames]
        missing = [labels for _, labels in pairs if not labels.is_file()]
        if missing:
            raise UserError(f"labels {missing[0]} are missing ({len(missing)} of {len(pairs)} "
                            f"are); let run {run.name} come to its end first")
        return cls(video, pairs, planes.size_of(frames[0]), known,
                   sorted(set(objects)) or known, annotations.names(run.data_set, video))

    def check(self):
        """Raises UserError unless all labels can be read and fit to their frames and the run."""
        for frame, path in tqdm(self.pairs, desc="check", unit="frame", dynamic_ncols=True):
            planes.check_size(frame, self.size)
            other = set(davis.objects_of(self.labels(path))) - set(self.known)
            if other:
                raise UserError(f"labels {path} have the ids {sorted(other)}, the run the objects "
                                f"{self.known}")

    def labels(self, path):
        """Object ids, uint8, H x W.  Raises UserError."""
        return planes.of_shape(files.read_plane(path, "labels"), self.size, path)

    def parts(self, kind, each):
        """{name of a file or folder: ids of the objects in it}."""
        word, ending = {"masks": "mask", COCO: COCO}.get(kind, "cutout"), ENDINGS[kind]
        if each or kind == "masks":
            return {f"{word}-{k}{ending}": [k] for k in self.objects}
        chosen = "" if self.objects == self.known else "".join(f"-{k}" for k in self.objects)
        return {f"{word}{chosen}{ending}": self.objects}


def of_name(name):
    """The settings.Run of this name.  Raises UserError."""
    path = settings.RUNS / davis.checked_sequence(name, "run")
    if not (path / settings.SETTINGS).is_file():
        there = sorted(found.parent.name for found in settings.RUNS.glob(f"*/{settings.SETTINGS}"))
        raise UserError(f"there is no run {name} in {settings.RUNS}; there are: "
                        f"{', '.join(there) or 'none'}")
    return settings.Run.read(path)


def write(clip, kind, folder, each=False, fps=12):
    """Writes a Clip in one of FORMATS; returns the paths of what is new, all of it or nothing.

    each: a cut-out an object, not one of all.  fps: frames a second, of videos.  Raises UserError.
    """
    if kind in CODECS:
        check_encoder(CODECS[kind].encoder)
    files.check_writable(folder)
    clip.check()
    parts = clip.parts(kind, each)
    paths = [Path(folder) / name for name in parts]
    with Staging(paths) as new:
        for path, (name, objects) in zip(new, parts.items()):
            pairs = tqdm(clip.pairs, desc=name, unit="frame", dynamic_ncols=True)
            if kind == COCO:
                coco.write(path, clip, pairs)
            elif kind == PNG:
                for image, (frame, _) in zip(cutouts(clip, pairs, objects), clip.pairs):
                    files.write_image(path / f"{frame.stem}.png", image)
            else:
                pictures = masks if kind == "masks" else cutouts
                write_video(path, CODECS[kind], pictures(clip, pairs, objects), fps)
    return paths


def masks(clip, pairs, objects):
    """Yields uint8, H x W, a frame: 255 where one of the objects is, else 0."""
    for _, labels in pairs:
        yield np.isin(clip.labels(labels), objects) * np.uint8(255)


def cutouts(clip, pairs, objects):
    """Yields uint8, H x W x 4 BGRA, a frame."""
    for frame, labels in pairs:
        image = files.read_image(frame)
        planes.of_shape(image[..., 0], clip.size, frame)
        yield cutout(image, np.isin(clip.labels(labels), objects))


def cutout(image, mask):
    """uint8, H x W x 4 BGRA.  image: uint8, H x W x 3 BGR; mask: bool, H x W."""
    colours = np.where(mask[..., None], image, 0)
    if mask.any():
        distance, nearest = cv2.distanceTransformWithLabels(
            np.uint8(~mask), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL)
        colour_of = np.zeros((nearest.max() + 1, 3), np.uint8)
        colour_of[nearest[mask]] = image[mask]
        around = ~mask & (distance <= MARGIN)
        colours[around] = colour_of[nearest[around]]
    return np.dstack([colours, mask * np.uint8(255)])


def write_video(path, codec, pictures, fps):
    """Has ffmpeg write pictures, as codec.pixels has them.  Raises UserError where it fails."""
    count, writer, options = 0, None, [*codec.options, *PLAIN, codec.container]
    try:
        for picture in pictures:
            picture = np.ascontiguousarray(padded(picture) if codec.is_even else picture)
            if writer is None:
                writer = imageio_ffmpeg.write_frames(
                    str(path), picture.shape[1::-1], fps=fps, codec=codec.encoder, quality=None,
                    pix_fmt_in=codec.pixels[0], pix_fmt_out=codec.pixels[1], macro_block_size=1,
                    ffmpeg_log_level="error", output_params=options)
                overlay.send(writer, None)
            overlay.send(writer, picture)
            count += 1
    finally:
        if writer:
            writer.close()
    overlay.check_video(path, count)


def padded(picture):
    """A cut-out with a clear row and column more where their number is odd."""
    height, width = picture.shape[:2]
    even = overlay.even(picture)
    even[height:, :, 3] = even[:, width:, 3] = 0
    return even


def note(clip, kind):
    """What was done to the frames of a Clip, for the user; None for nothing."""
    height, width = clip.size
    if kind not in CODECS or not CODECS[kind].is_even or not (height % 2 or width % 2):
        return None
    return (f"{width}x{height} became {width + width % 2}x{height + height % 2}, since its sizes "
            "must be even: a clear column was added on the right, or a clear row below")


def check_encoder(name):
    """Raises UserError where ffmpeg is not there, or lacks an encoder."""
    try:
        found = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-encoders"],
                               stdin=subprocess.DEVNULL, capture_output=True, check=False).stdout
    except (OSError, RuntimeError) as error:
        raise UserError(f"ffmpeg does not run: {error}; run make setup") from error
    if name.encode() not in found.split():
        raise UserError(f"this ffmpeg has no encoder {name}; unset IMAGEIO_FFMPEG_EXE, which "
                        "gives another one than that of make setup")
