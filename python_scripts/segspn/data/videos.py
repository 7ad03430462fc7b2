"""Videos, frame by frame, as ffmpeg decodes them; and what it says of them."""

import os
import re
import subprocess
from contextlib import contextmanager
from fractions import Fraction
from tempfile import TemporaryFile
from typing import NamedTuple

import imageio_ffmpeg
import numpy as np
from tqdm import tqdm

from segspn import files
from segspn.errors import UserError

HDR = {"smpte2084": "PQ", "arib-std-b67": "HLG"}
# White paper is at 203 nits (ITU-R BT.2408): colours up to middle grey stay, and those above move
# together, so that there is room for what shines.
TO_SDR = ("format=yuv444p16,zscale=t=linear:npl=203,format=gbrpf32,zscale=p=bt709,"
          "tonemap=mobius:desat=0,zscale=t=iec61966-2-1")
DEINTERLACE = "bwdif=mode=send_frame:deint=interlaced"  # what is not flagged so stays as it is
SHOW = "showinfo=checksum=0"  # some lines a frame, which an Account reads

FINDING = re.compile(r"(?:^|\] |type:. )\[(?:error|fatal|panic)\] (?:\[[^]]*\] )*(.*)")
STREAM = re.compile(r"^\[info\] +Stream #0:(?=\d)", re.MULTILINE)
VIDEO = re.compile(r"(\d+).*: Video: .*?(\(attached pic\))?$", re.MULTILINE)
TAKEN = re.compile(r"\[info\]   Stream #0:(\d+) -> #0:0 ")
ROTATION = re.compile(r"^\[info\] +Display Matrix: rotation of -?([\d.]+) ", re.MULTILINE)
LENGTH = re.compile(r"Duration: (\d+):(\d+):([\d.]+),.*?Video: [^\n]*? ([\d.]+) fps", re.DOTALL)
TIME_BASE = re.compile(r"config in time_base: (\d+)/(\d+)")
FRAME = re.compile(r"n: *\d+ pts: *(\S+) .* sar:(\d+)/(\d+) s:(\d+)x(\d+) i:(.) iskey:")
TRANSFER = re.compile(r"color_trc:([\w-]+)")  # of that frame, and the last that is said of it


class Kind(NamedTuple):
    """What all frames of a video share: px, upright; width of a pixel by its height; light."""

    width: int
    height: int
    pixel: Fraction
    hdr: str | None

    @property
    def square(self):
        """(height, width) when pixels are made square, none of them lost."""
        return (round(self.height / min(self.pixel, 1)), round(self.width * max(self.pixel, 1)))

    def __str__(self):
        return " ".join([f"{self.width}x{self.height}",
                         *([f"with pixels of {ratio(self.pixel)}"] if self.pixel != 1 else []),
                         *([f"in HDR ({self.hdr})"] if self.hdr else [])])


class Frame(NamedTuple):
    """A frame in ffmpeg's words; seconds: None where it has no time."""

    seconds: float | None
    interlaced: bool
    kind: Kind


class Account:
    """What ffmpeg says of a decode, line by line.

    Its threads speak at once: a line may have the words of two, and end in the middle of them.
    """

    def __init__(self):
        self.frames, self.findings = [], []
        self.videos, self.covers = [], []  # numbers of the file's streams
        self.taken = None  # that of the one that is decoded, once it is known
        self.turned = False  # whether its frames are not shown as they are stored
        self.estimate = None  # number of frames
        self.steady = True  # False where ffmpeg began anew in the middle
        self._header = ""
        self._tick = self._frame = None

    def take(self, line):
        """Reads the next line."""
        if match := FINDING.search(line):
            self.findings.append(match[1])
        if match := FRAME.search(line):
            self._frame = match.groups()
        elif (match := TRANSFER.search(line)) and self._frame:
            self._add_frame(*self._frame, match[1])
            self._frame = None
        elif match := TIME_BASE.search(line):
            self.steady &= not self.frames
            self._tick = Fraction(*map(int, match.groups()))
        elif match := TAKEN.match(line):
            self._read_header(int(match[1]))
        elif self.taken is None:
            self._header += line

    def _read_header(self, taken):
        self.taken = taken
        for lines in STREAM.split(self._header)[1:]:
            if match := VIDEO.match(lines):
                number = int(match[1])
                (self.covers if match[2] else self.videos).append(number)
                if number == taken and (match := ROTATION.search(lines)):
                    self.turned = float(match[1]) != 0
        if match := LENGTH.search(self._header):
            hours, minutes, seconds, fps = map(float, match.groups())
            self.estimate = round((hours * 3600 + minutes * 60 + seconds) * fps)

    def _add_frame(self, ticks, across, down, width, height, fields, transfer):
        pixel = Fraction(int(across), int(down)) if int(across) * int(down) else Fraction(1)
        kind = Kind(int(width), int(height), pixel, HDR.get(transfer))
        seconds = None if ticks == "NOPTS" else float(int(ticks) * self._tick)
        self.frames.append(Frame(seconds, fields != "P", kind))


class Video:
    """A video file.  Raises UserError where there is none.

    ffmpeg decodes it twice: times() looks at every frame, read() gives those that are asked
    for.  ffmpeg chooses the stream, turns frames upright, and leaves out what is not shown.
    """

    def __init__(self, path):
        self.path = files.existing_file(path, "video")
        self._account = Account()

    def times(self, last=None):
        """Seconds of all frames up to number `last`; None for one that has no time.

        Raises UserError where the file is not a video, is damaged, ends early, or where its
        frames are not of one kind.
        """
        self._account = account = Account()
        # ffmpeg leaves the level off a message that comes in the middle of another one, as most
        # of "info" do: errors alone come with their level, all else by a report, in between.
        # One frame is output: of more, "null" would want no two at one time.
        words = {"stderr": subprocess.PIPE,
                 "env": {**os.environ, "FFREPORT": "file=/dev/stderr:level=32"}}
        output = ["-xerror", "-vf", f"{SHOW},select=not(n)", "-f", "null"]
        with decoding(self.path, "error", output, **words) as process:
            lines = (line.decode(errors="replace") for line in process.stderr)
            self._open(lines)
            total = account.estimate if last is None else last + 1
            with tqdm(desc="check", unit="frame", total=total) as bar:
                for line in lines:
                    account.take(line)
                    self._check()
                    bar.update(len(account.frames) - bar.n)
                    if last is not None and len(account.frames) > last:
                        break
                else:
                    if process.wait():
                        account.findings.append(f"ffmpeg ended with status {process.returncode}")
                    self._check()
        return [frame.seconds for frame in account.frames]

    def _open(self, lines):
        """Takes lines up to where decoding begins.  Raises UserError where it does not."""
        account = self._account
        while account.taken is None:
            line = next(lines, None)
            if line is None:
                raise UserError(f"{self.path} is not a video that ffmpeg can read, or is cut off "
                                f"({(account.findings or ['it is empty'])[0]}); give an mp4, mov, "
                                "avi, webm or gif, or a folder of images")
            account.take(line)
        if account.taken in account.covers:
            raise UserError(f"{self.path} has no video, only a cover picture")

    def _check(self):
        """Raises UserError where the account so far is not that of a good video."""
        frames, findings = self._account.frames, self._account.findings
        if findings:
            raise UserError(
                f"video {self.path} is cut off or damaged at about frame {len(frames)} "
                f"({findings[0]}); take frames well before that with --range, or mend it: "
                "ffmpeg -i VIDEO mended.mp4")
        if frames and frames[-1].kind != frames[0].kind:
            raise UserError(
                f"video {self.path} changes at frame {len(frames) - 1} from {frames[0].kind} to "
                f"{frames[-1].kind}; take frames before that with --range, or make it of one "
                "kind: ffmpeg -i VIDEO mended.mp4")
        if frames and frames[-1].interlaced and self._account.turned:
            raise UserError(f"video {self.path} is interlaced and flagged to be turned; "
                            "deinterlace it first: ffmpeg -noautorotate -i VIDEO "
                            "-vf bwdif=send_frame new.mp4")

    def read(self, numbers):
        """Yields the frames of these numbers, which rise: uint8, H x W x 3 BGR, upright.

        Interlaced ones are deinterlaced, pixels are made square, HDR becomes SDR: see notes.
        Raises UserError as times() does, and where the video ends before.
        """
        numbers = list(numbers)
        first, last = numbers[0], numbers[-1]
        if last >= len(self._account.frames):
            self.times(last)
        account = self._account
        if last >= len(account.frames):
            raise UserError(f"video {self.path} has frames only up to frame "
                            f"{len(account.frames) - 1}, not {last}")
        if not account.steady:  # ffmpeg would count anew as well
            first = 0
        wanted, (height, width) = set(numbers), account.frames[first].kind.square
        output = ["-vf", self._filters(first, last), "-f", "rawvideo"]
        with (TemporaryFile() as words,
              decoding(self.path, "info", output, stdout=subprocess.PIPE,
                       stderr=words) as process):
            for number in range(first, last + 1):
                image = np.empty((height, width, 3), np.uint8)
                whole = process.stdout.readinto(image) == image.nbytes
                if not whole or number == last:
                    self._compare(words, account.frames[first:last + 1], whole)
                if number in wanted:
                    yield image

    def _filters(self, first, last):
        """ffmpeg's filters that make the frames of these numbers what read() yields."""
        frames = self._account.frames[:last + 1]
        kind = frames[0].kind
        height, width = kind.square
        return ",".join(filter(None, [
            any(frame.interlaced for frame in frames) and DEINTERLACE,
            self._account.steady and f"trim=start_frame={first}:end_frame={last + 1}",
            SHOW,
            kind.hdr and TO_SDR,
            (width, height) != kind[:2] and f"scale={width}:{height}",
            "format=bgr24"]))

    def _compare(self, words, frames, whole):
        """Raises UserError unless the frames of the second decode are those of the first."""
        account = Account()
        # Not read(), which would move the place that ffmpeg writes at.
        for line in os.pread(words.fileno(), os.fstat(words.fileno()).st_size, 0).splitlines():
            account.take(line.decode(errors="replace"))
        found = account.frames[:len(frames)]  # it may have gone on
        if not whole or [frame.seconds for frame in found] != [frame.seconds for frame in frames]:
            raise UserError(f"ffmpeg does not read {self.path} as it has checked it: {len(found)} "
                            f"of {len(frames)} frames "
                            f"({(account.findings or ['at other times'])[0]}); leave the file in "
                            "peace meanwhile, or give a folder of its frames as images")

    @property
    def notes(self):
        """What was done to the frames that times() has looked at: lines for the user."""
        account, kind = self._account, self._account.frames[0].kind
        height, width = kind.square
        interlaced = sum(frame.interlaced for frame in account.frames)
        return [*filter(None, [
            len(account.videos) > 1 and f"the file has {len(account.videos)} videos: stream "
            f"{account.taken} was taken, which ffmpeg takes for the main one",
            interlaced and f"{interlaced} of {len(account.frames)} frames are interlaced: they "
            "were deinterlaced",
            kind.hdr and f"HDR ({kind.hdr}) was converted to SDR",
            (width, height) != kind[:2] and f"pixels were {ratio(kind.pixel)}: "
            f"{kind.width}x{kind.height} became {width}x{height}"])]

    @property
    def stored(self):
        """(height, width) of the frames before their pixels are made square, upright."""
        kind = self._account.frames[0].kind
        return kind.height, kind.width


def ratio(fraction):
    """A Fraction as ratios are spelt: "16:15"."""
    return f"{fraction.numerator}:{fraction.denominator}"


@contextmanager
def decoding(path, level, output, **popen):
    """ffmpeg's process that decodes a file, which ends with the context.  Raises UserError.

    level: of what it says on stderr; output: its options of what it writes.
    """
    command = ["-hide_banner", "-nostdin", "-nostats", "-v", f"repeat+level+{level}",
               "-i", "fd:", "-an", "-sn", "-dn", "-fps_mode", "passthrough", *output, "-"]
    with open(path, "rb") as video:  # handed over open: a name could be an option, or a pattern
        try:
            process = subprocess.Popen([imageio_ffmpeg.get_ffmpeg_exe(), *command],
                                       stdin=video, **popen)
        except (OSError, RuntimeError) as error:
            raise UserError(f"ffmpeg does not run: {error}; run make setup") from error
    with process:
        try:
            yield process
        finally:
            process.kill()
