"""Images of frames: judged by what decoding says, not by their ends and names."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from segspn import files
from segspn.errors import UserError
from tests.support.frames import draw_frame

FRAME = draw_frame(0)[0]
RGB = Image.fromarray(FRAME[..., ::-1])


def encoded(image=RGB, kind="JPEG", **options):
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def motion_photo():
    return encoded() + b"\0\0\0\x18ftypmp42" + np.random.default_rng(0).bytes(90000)


KINDS = {
    "baseline": encoded(quality=95), "progressive": encoded(progressive=True),
    "grey": encoded(RGB.convert("L")), "cmyk": encoded(RGB.convert("CMYK")),
    "restarts": encoded(restart_marker_blocks=4), "motion photo": motion_photo(),
    "two pictures": encoded(kind="MPO", save_all=True, append_images=[RGB.rotate(180)]),
    "zeros after it": encoded() + bytes(3000),
    "odd revision": encoded().replace(b"JFIF\0\1", b"JFIF\0\7"),  # which libjpeg warns of
    "one block": encoded(RGB.crop((0, 0, 8, 8))), "PNG": encoded(kind="PNG"),
    "indexed": encoded(RGB.quantize(16), "PNG"), "bit": encoded(RGB.convert("1"), "PNG"),
    "opaque": encoded(RGB.convert("RGBA"), "PNG"), "PNG and more": encoded(kind="PNG") + b"x" * 999}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_whole_images_are_as_opencv_has_them(tmp_path, kind, ending):
    path = tmp_path / f"0{ending}"
    path.write_bytes(KINDS[kind])
    expected = cv2.imdecode(np.frombuffer(KINDS[kind], np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(files.read_image(path), expected)
    if kind in ("PNG", "opaque", "PNG and more"):
        assert np.array_equal(expected, FRAME)


def zeros(data, start, count=300):
    return data[:start] + bytes(count) + data[start + count:]


def marked(data, marker):
    """A JPEG with a marker in the middle, of which libjpeg knows nothing, or too much."""
    return data[:len(data) // 2] + marker + bytes(30) + data[len(data) // 2:]


NOISE = encoded(Image.fromarray(np.random.default_rng(1).integers(0, 256, (96, 128), np.uint8)))


@pytest.mark.parametrize(("data", "words"), [
    (zeros(NOISE, len(NOISE) // 2), "Corrupt JPEG data: "),
    (zeros(encoded(quality=95, subsampling=0), 2500), "Corrupt JPEG data: "),
    (zeros(KINDS["progressive"], len(KINDS["progressive"]) // 2), "Corrupt JPEG data: "),
    (marked(NOISE, b"\xff\x18"), "Unsupported marker"),
    (marked(NOISE, b"\xff\xd8"), "Invalid JPEG"),
    (marked(NOISE, b"\xff\xdb\0\x43\x0b"), "Bogus DQT index"),
    (encoded()[:-1], "Premature end of JPEG file"),
    (motion_photo()[:len(encoded()) - 40], "Premature end of JPEG file"),
    (zeros(encoded(kind="PNG"), 2000, 1), "broken PNG file"),
    (encoded(kind="PNG")[:-300], "Truncated File Read|broken PNG file")])
def test_images_that_are_damaged(tmp_path, capfd, data, words):
    path = tmp_path / "0.jpg"
    path.write_bytes(data)
    with pytest.raises(UserError, match=rf"0.jpg is corrupt \(.*({words}).*\); replace the file"):
        files.read_image(path)
    assert capfd.readouterr() == ("", "")


def promise(width):
    """A PNG whose header promises so many pixels a row."""
    data = bytearray(encoded(Image.new("1", (8, 8)), "PNG"))
    data[16:20] = width.to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"\x89PNG", b"<html>",
                                  promise(2**31 - 1)])
def test_what_is_no_image(tmp_path, capfd, data):
    (tmp_path / "0.jpg").write_bytes(data)
    with pytest.raises(UserError, match="0.jpg is corrupt .*; replace the file"):
        files.read_image(tmp_path / "0.jpg")
    assert capfd.readouterr() == ("", "")


def test_what_is_transparent(tmp_path):
    rgba = np.dstack([FRAME, np.full(FRAME.shape[:2], 255, np.uint8)])
    rgba[3, 4, 3] = 254
    indexed = RGB.quantize(16)
    for image, options in ((Image.fromarray(rgba), {}), (indexed, {"transparency": 2})):
        image.save(tmp_path / "0.png", **options)
        with pytest.raises(UserError, match="0.png is transparent in places; save it without"):
            files.read_image(tmp_path / "0.png")
