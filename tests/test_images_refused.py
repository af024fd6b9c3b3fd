"""open_image: what it refuses, and that it says what was wrong and what to do."""

import io
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from svd_lab import images
from svd_lab.images import open_image

SIZE = (48, 32)
GRADIENT = np.dstack(np.broadcast_arrays(np.arange(48) * 5, np.arange(32)[:, None] * 8, 90)).astype(np.uint8)
NOISE = Image.effect_noise(SIZE, 99)  # hardly compressible, so that a cut file lacks pixels


def encoded(image, format="PNG"):
    image.save(buffer := io.BytesIO(), format)
    return buffer.getvalue()


PNG = encoded(Image.fromarray(GRADIENT))


def png_claiming(width, height):
    """A PNG of a few bytes that says it is of this size: a decompression bomb."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


BAD_CONTENT = {
    "empty": (b"", "empty"),
    "html": (b"  <!DOCTYPE html><html><body>404</body></html>", "web page"),
    "html after a comment": (b"<!-- hi -->\n<html lang=ko>", "web page"),
    "html with a drawing": (b"<!doctype html><body><svg/>", "web page"),
    "svg": (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3", "PDF"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "PostScript"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
    "mp4": (b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41", "video"),
    "webm": (b"\x1a\x45\xdf\xa3\x01\0\0\0", "video"),
    "zip": (b"PK\x03\x04\x14\0", "archive"),
    "git-lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "git lfs pull"),
    "json": (b'{"error": "not found"}', "text"),
    "noise": (bytes(range(128, 256)) * 20, "not a picture"),
    "bomb beyond Pillow's error": (png_claiming(60_000, 60_000), "pixels"),
    "bomb between Pillow's warning and error": (png_claiming(10_000, 10_000), "pixels"),
    "bomb below Pillow's warning": (png_claiming(9_000, 9_000), "pixels"),
    "no width": (png_claiming(0, 5), "damaged|pixels|not a picture"),
    "png cut in two": (encoded(NOISE)[:900], "damaged"),
    "png with a broken body": (PNG[:60] + b"\xff" * 40 + PNG[100:], "damaged"),
    "jpeg cut in two": (encoded(NOISE, "JPEG")[:900], "damaged"),
    "webp cut in two": (
        encoded(NOISE.convert("RGB"), "WEBP")[:600],
        "damaged|not a picture",
    ),
    "gif cut in two": (encoded(NOISE, "GIF")[:1200], "damaged"),
    "bmp cut in two": (encoded(NOISE, "BMP")[:900], "damaged"),
    "tiff cut in two": (encoded(NOISE, "TIFF")[:900], "damaged|not a picture"),
    "only a png signature": (b"\x89PNG\r\n\x1a\n", "damaged|not a picture"),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("case", BAD_CONTENT)
@pytest.mark.parametrize("way", ["bytes", "path", "file object"])
def test_what_is_no_sound_picture_is_refused_with_a_word(case, way, tmp_path):
    data, word = BAD_CONTENT[case]
    (tmp_path / "input.jpg").write_bytes(data)
    source = {"bytes": data, "path": tmp_path / "input.jpg", "file object": io.BytesIO(data)}[way]
    limit = Image.MAX_IMAGE_PIXELS
    with pytest.raises(ValueError, match=word) as refusal:
        open_image(source)
    assert Image.MAX_IMAGE_PIXELS == limit
    assert way != "path" or "input.jpg" in str(refusal.value)


def test_bombs_are_refused_whatever_pillows_limit_and_warnings_are(monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="pixels"):
            open_image(png_claiming(10_000, 10_000))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(ValueError, match="60000x60000"):
        open_image(png_claiming(60_000, 60_000))


def arrays():
    good = GRADIENT
    nan = good / 255
    nan[3, 3] = np.nan
    return {
        "a batch": (good[None], r"image\[0\]"),
        "channels first": (np.moveaxis(good, -1, 0), "moveaxis"),
        "two channels": (good[..., :2], "channels"),
        "one dimension": (good.ravel(), "height, width"),
        "a number": (np.float64(3), "height, width"),
        "no pixels": (good[:0], "no pixels"),
        "NaN": (nan, "nan_to_num"),
        "infinite": (np.full((4, 4), np.inf), "nan_to_num"),
        "floats to 255": (good.astype(float), "divide it by 255"),
        "floats from -1": (good / 127.5 - 1, r"\(image \+ 1\) / 2"),
        "int64": (good.astype(np.int64), "astype"),
        "complex": (good.astype(complex), "complex128"),
        "objects": (good.astype(object), "object"),
        "strings": (np.array([["a", "b"]]), "<U1"),
    }


@pytest.mark.parametrize("case", arrays())
def test_unfit_arrays_are_refused_with_a_hint(case):
    array, word = arrays()[case]
    with pytest.raises(ValueError, match=word):
        open_image(array)


@pytest.mark.parametrize("source", [None, 3, 2.5, ["a.png"], {"a": 1}, object(), io.StringIO("text")])
def test_sources_of_the_wrong_type_are_refused(source):
    with pytest.raises(TypeError, match="image"):
        open_image(source)


def test_unfit_pil_images_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no pixels"):
        open_image(Image.new("RGB", (0, 5)))
    Image.fromarray(GRADIENT).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as closed:
        pass
    with pytest.raises(ValueError, match="keep its file open"):
        open_image(closed)
    with pytest.raises(ValueError, match="keep its file open"):
        open_image(Image.open(io.BytesIO(BAD_CONTENT["jpeg cut in two"][0])))
    with pytest.raises(ValueError, match="greys"):
        open_image(Image.fromarray(np.array([[0, 1_000_000]], np.int32)))
    with pytest.raises(ValueError, match="greys"):
        open_image(Image.fromarray(np.array([[0, -1]], np.float32)))
    with pytest.raises(ValueError, match="NaN"):
        open_image(Image.fromarray(np.full((4, 4), np.nan, np.float32)))


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (100, 3)])
def test_a_thread_of_a_picture_is_refused_unless_stretched(size, fit):
    with pytest.raises(ValueError, match=f"{size[0]}x{size[1]}.*stretch"):
        open_image(Image.new("RGB", size), SIZE, fit)
    assert open_image(Image.new("RGB", size), SIZE, "stretch").size == SIZE
    assert open_image(Image.new("RGB", size)).size == size


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"size": (0, 5)}, ValueError),
        ({"size": (-4, 5)}, ValueError),
        ({"size": (10**6, 10**6)}, ValueError),
        ({"size": (1.5, 5)}, TypeError),
        ({"size": (True, 5)}, TypeError),
        ({"size": "48x32"}, TypeError),
        ({"size": 48}, TypeError),
        ({"size": (48, 32, 3)}, TypeError),
        ({"fit": "fill"}, ValueError),
        ({"fit": ""}, ValueError),
        ({"fit": None}, TypeError),
        ({"fit": ["crop"]}, TypeError),
    ],
)
def test_size_and_fit_are_checked_first(settings, error):
    with pytest.raises(error, match="size|fit"):
        open_image("/no/such/picture.png", **settings)


def test_a_missing_file_is_named_with_its_folder_and_a_likely_name(tmp_path):
    (tmp_path / "rocket.jpg").write_bytes(PNG)
    with pytest.raises(FileNotFoundError, match="rocket.png") as error:
        open_image(tmp_path / "rocket.png")
    assert "Did you mean 'rocket.jpg'?" in str(error.value) and str(tmp_path) in str(error.value)
    assert "The bundled pictures are ball, balloon, boat, car, rabbit, rocket." in str(error.value)
    with pytest.raises(FileNotFoundError, match="not found"):
        open_image(tmp_path / "rocket.jpg" / "inside.png")
    with pytest.raises(FileNotFoundError, match="not found"):
        open_image(tmp_path / "no" / "such" / "folder.png")
    (tmp_path / "dangling.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(FileNotFoundError, match="dangling"):
        open_image(tmp_path / "dangling.png")


@pytest.mark.parametrize("name", ["", "  ", "a\0b.png", "\ud800.png"])
def test_unusable_names_are_refused(name):
    with pytest.raises(ValueError, match="not a valid path"):
        open_image(name)


@pytest.mark.skipif(os.name != "posix", reason="pipes and permissions are POSIX's")
def test_what_is_not_a_readable_file_is_refused(tmp_path):
    with pytest.raises(IsADirectoryError, match="folder"):
        open_image(tmp_path)
    with pytest.raises(OSError, match="cannot be read"):
        open_image("x" * 5000 + ".png")
    os.mkfifo(tmp_path / "pipe.png")
    for device in (tmp_path / "pipe.png", "/dev/zero"):  # reading them would not end
        with pytest.raises(ValueError, match="not a regular file"):
            open_image(device)


@pytest.mark.skipif(os.name != "posix", reason="pipes and permissions are POSIX's")
def test_a_file_without_read_permission_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "a.png").chmod(0)
    monkeypatch.chdir(tmp_path)  # parents may be closed to others
    tmp_path.chmod(0o755)
    user = os.geteuid()
    if user == 0:  # root may read everything
        os.seteuid(65534)
    try:
        with pytest.raises(PermissionError, match="a.png"):
            open_image("a.png")
    finally:
        os.seteuid(user)


def test_file_objects_that_hold_too_much_or_text_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(images, "MAX_BYTES", 100)
    with pytest.raises(ValueError, match="more than 100 bytes"):
        open_image(io.BytesIO(PNG))
    (tmp_path / "a.txt").write_text("x")
    with open(tmp_path / "a.txt") as text, pytest.raises(TypeError, match="'rb'"):
        open_image(text)


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("file:///etc/passwd", "path itself"),
        ("FILE:///etc/passwd", "path itself"),
        ("ftp://example.org/a.png", "Download"),
        ("s3://bucket/a.png", "Download"),
        ("javascript://alert", "Download"),
        ("data:image/png;base64,AAAA", "b64decode"),
    ],
)
def test_other_schemes_are_refused_with_a_way_out(address, word):
    with pytest.raises(ValueError, match=word):
        open_image(address)
