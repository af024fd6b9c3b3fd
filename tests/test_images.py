"""open_image: what it takes and what it makes of it."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageCms

from svd_lab import images
from svd_lab.bundled import BUNDLED
from svd_lab.images import open_image

SIZE = (48, 32)


def picture(mode="RGB", size=SIZE):
    """Smooth, with red to the right and green downwards, so that turning and mirroring show."""
    x, y = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
    rgb = np.stack([x, y, np.full_like(x, 90)], -1).round().astype(np.uint8)
    return Image.fromarray(rgb).convert(mode)


def encoded(image=None, format="PNG", **options):
    (image or picture()).save(buffer := io.BytesIO(), format, **options)
    return buffer.getvalue()


def difference(image, expected):
    assert image.mode == "RGB" and image.size == expected.size
    return np.abs(np.asarray(image, float) - np.asarray(expected.convert("RGB"), float)).max()


# --- what it takes ---


class Tensor:
    """What open_image asks of a torch tensor; torch itself is tried in test_a_torch_tensor_is_read."""

    def __init__(self, array):
        self.array, self.shape = array, array.shape

    detach = cpu = lambda self: self

    def is_floating_point(self):
        return self.array.dtype.kind == "f"

    def float(self):
        return Tensor(self.array.astype(np.float32))

    def numpy(self):
        return self.array


def test_every_kind_of_source_gives_the_same_pixels(tmp_path, monkeypatch):
    expected, data = picture(), encoded()
    array = np.asarray(expected)
    (tmp_path / "그림 #1%.png").write_bytes(data)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with open("그림 #1%.png", "rb") as file:
        sources = [
            str(tmp_path / "그림 #1%.png"),
            tmp_path / "그림 #1%.png",
            "그림 #1%.png",
            "~/그림 #1%.png",
            data,
            bytearray(data),
            memoryview(data),
            io.BytesIO(data),
            file,
            expected,
            Image.open(io.BytesIO(data)),
            array,
            array.astype(np.uint16) * 257,
            array.astype(">u2") * 257,
            array / 255,
            (array / 255).astype(np.float32),
            np.asfortranarray(array),
            np.dstack([array, np.full(array.shape[:2], 255, np.uint8)]),
            Tensor(np.moveaxis(array, -1, 0)),
            Tensor(np.moveaxis(array, -1, 0) / 255),
        ]
        for number, source in enumerate(sources):
            assert difference(open_image(source), expected) == 0, f"source {number}: {type(source)}"


def test_a_torch_tensor_is_read():
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(np.asarray(picture()) / 255).permute(2, 0, 1).requires_grad_()
    assert difference(open_image(tensor), picture()) == 0
    assert difference(open_image(tensor.to(torch.bfloat16)), picture()) <= 1
    with pytest.raises(ValueError, match=r"permute\(2, 0, 1\)"):
        open_image(tensor.permute(1, 2, 0))
    with pytest.raises(ValueError, match=r"image\[0\]"):
        open_image(tensor[None])


@pytest.mark.parametrize("channels", [(), (1,)])
def test_grey_and_bool_arrays_are_read(channels):
    grey = np.asarray(picture("L")).reshape(SIZE[1], SIZE[0], *channels)
    assert difference(open_image(grey), picture("L")) == 0
    assert difference(open_image(grey > 100), picture("L").point(lambda v: 255 * (v > 100))) == 0


def test_modules_know_no_torch():
    names = "('torch', 'diffusers', 'requests')"
    code = f"import sys, svd_lab.images, svd_lab.clip; sys.exit(any(name in sys.modules for name in {names}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- what it makes of it ---


@pytest.mark.parametrize("fit", images.FITS)
def test_a_picture_of_the_right_size_keeps_its_pixels_exactly(fit):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8))
    result = open_image(noise, SIZE, fit)
    assert np.array_equal(result, noise) and result is not noise
    assert np.array_equal(open_image(encoded(noise), (np.int64(48), np.int32(32)), fit), noise)


def test_the_source_is_never_changed():
    source = picture("RGBA")
    source.putalpha(100)
    before = source.tobytes()
    result = open_image(source, (16, 16))
    result.paste("red", (0, 0, 16, 16))
    assert source.tobytes() == before and source.mode == "RGBA"
    array = np.zeros((8, 8, 3))
    array.flags.writeable = False
    open_image(array).paste("red", (0, 0, 8, 8))
    assert not array.any()


@pytest.mark.parametrize("size", [(24, 16), (96, 64), (30, 30), (10, 50), (50, 10), (1, 1)])
@pytest.mark.parametrize("fit", images.FITS)
def test_the_result_has_the_wanted_size(size, fit):
    result = open_image(picture(), size, fit)
    assert result.size == size and result.mode == "RGB"


def test_crop_cuts_both_ends_evenly_and_keeps_proportions():
    wide = Image.new("RGB", (300, 100), "blue")
    wide.paste("red", (100, 0, 200, 100))
    result = np.asarray(open_image(wide, (50, 50)))
    assert np.abs(result[:, 2:-2].astype(int) - [255, 0, 0]).max() <= 5  # LANCZOS rings a little
    assert np.array_equal(result[:, :, 0], result[:, ::-1, 0])


def test_pad_adds_black_bars_and_keeps_the_whole_picture():
    result = np.asarray(open_image(Image.new("RGB", (100, 50), "red"), (50, 50), "pad"))
    assert (result[:12] == 0).all() and (result[-12:] == 0).all() and (result[13:37] == [255, 0, 0]).all()


def test_stretch_keeps_the_whole_picture_without_bars():
    result = np.asarray(open_image(picture(size=(200, 50)), (50, 50), "stretch")).astype(int)
    assert result[25, 0, 0] < 8 and result[25, -1, 0] > 247 and result[0, 25, 1] < 8 and result[-1, 25, 1] > 247


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(orientation, format):
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # PIL's Transpose that stores an upright picture so
    stored = picture().transpose(Image.Transpose(turns[orientation])) if orientation > 1 else picture()
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format == "WEBP" else {"quality": 95} if format == "JPEG" else {}
    data = encoded(stored, format, exif=exif, **options)
    once = open_image(data)
    assert difference(once, picture()) <= (0 if format != "JPEG" else 24)
    assert np.array_equal(open_image(once), once)
    assert np.array_equal(open_image(Image.open(io.BytesIO(data))), once)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_does_not_hide_a_sound_picture():
    data = encoded(format="JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff" + b"\xff" * 20)
    source = Image.open(io.BytesIO(data))
    assert open_image(data).size == SIZE and open_image(source) is not source


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "La", "RGBa", "P with tRNS", "L with tRNS", "RGB with tRNS"])
def test_transparency_lies_over_white(mode):
    source = picture("RGBA")
    source.putalpha(Image.fromarray(np.where(np.arange(48) < 24, 0, 255).astype(np.uint8)[None].repeat(32, 0)))
    if mode in ("RGBA", "LA", "La", "RGBa"):
        if mode in ("LA", "La"):
            source = source.convert("LA")
        source = source.convert(mode)
    elif mode == "PA":
        source = source.convert("PA")
    elif mode == "P with tRNS":
        flat = Image.fromarray(np.where(np.arange(48) < 24, 7, 9).astype(np.uint8)[None].repeat(32, 0), "L")
        source = Image.new("P", SIZE)
        source.putdata(list(flat.getdata()) if not hasattr(flat, "get_flattened_data") else flat.get_flattened_data())
        source.putpalette([0, 0, 0] * 7 + [10, 20, 30] * 249)
        source = Image.open(io.BytesIO(encoded(source, transparency=7)))
    else:
        grey = Image.fromarray(np.where(np.arange(48) < 24, 7, 90).astype(np.uint8)[None].repeat(32, 0))
        colour = mode.split()[0]
        transparent = 7 if colour == "L" else (7, 7, 7)
        source = Image.open(io.BytesIO(encoded(grey.convert(colour), transparency=transparent)))
    result = np.asarray(open_image(source))
    assert (result[:, :24] == 255).all()
    assert (result[:, 24:] < 255).any(-1).all()


def test_half_transparent_is_half_white():
    assert open_image(Image.new("RGBA", (4, 4), (0, 0, 0, 128))).getpixel((1, 1)) == (127, 127, 127)


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr", "HSV", "LAB", "RGBX"])
def test_every_mode_keeps_its_colours(mode):
    if mode == "LAB":
        to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
        source, expected = ImageCms.applyTransform(picture(), to_lab), picture()
    else:
        source = picture(mode)
        expected = picture("L") if mode == "L" else source.convert("RGB")
    if mode in ("CMYK", "YCbCr", "HSV", "RGBX"):
        expected = picture()
    # 8-bit LAB is coarse where colours are dark and strong
    assert difference(open_image(source), expected) <= (40 if mode == "LAB" else 12)
    assert np.abs(np.asarray(open_image(source), float) - expected.convert("RGB")).mean() <= 3


def test_a_cmyk_jpeg_is_not_inverted():
    assert difference(open_image(encoded(picture("CMYK"), "JPEG", quality=95)), picture()) <= 24


def ramp(dtype, top):
    return np.linspace(0, top, 48)[None].repeat(32, 0).astype(dtype)


@pytest.mark.parametrize(
    ("array", "mode"),
    [
        (ramp(np.uint16, 65535), "I;16"),
        (ramp(">u2", 65535), "I;16B"),
        (ramp(np.int32, 65535), "I"),
        (ramp(np.int32, 255), "I"),
        (ramp(np.float32, 1), "F"),
        (ramp(np.float32, 255), "F"),
    ],
)
def test_deep_greys_are_scaled_not_clipped(array, mode):
    source = Image.fromarray(array)
    assert source.mode == mode
    result = np.asarray(open_image(source))
    assert np.abs(result[0, :, 0] - np.linspace(0, 255, 48)).max() <= 1
    if mode in ("I;16", "F"):
        kind = {"I;16": "PNG", "F": "TIFF"}[mode]
        assert np.array_equal(open_image(encoded(source, kind)), result)


def test_a_dark_16_bit_grey_stays_dark():
    assert np.asarray(open_image(Image.fromarray(ramp(np.uint16, 255)))).max() == 1


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animated_file_the_first_frame_is_taken(format):
    red, blue = Image.new("RGB", SIZE, "red"), Image.new("RGB", SIZE, "blue")
    data = encoded(red, format, save_all=True, append_images=[blue], **({"lossless": True} if format == "WEBP" else {}))
    assert Image.open(io.BytesIO(data)).n_frames == 2
    assert open_image(data).getpixel((5, 5)) == (255, 0, 0)


@pytest.mark.parametrize(
    "format", ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "JPEG2000", "PPM", "ICO", "TGA"]
)
def test_common_formats_are_read(format, tmp_path):
    Image.init()
    if format not in Image.SAVE:
        pytest.skip(f"this Pillow lacks {format}")
    data = encoded(format=format, **({"sizes": [SIZE]} if format == "ICO" else {}))
    (tmp_path / "a.bin").write_bytes(data)
    assert difference(open_image(data), picture()) <= 60  # the lossy ones at their default quality
    assert difference(open_image(tmp_path / "a.bin"), picture()) <= 60


@pytest.mark.parametrize("name", sorted(BUNDLED))
def test_a_bundled_picture_is_opened_by_its_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert open_image(name).tobytes() == open_image(BUNDLED[name]).tobytes()
    (tmp_path / name).write_bytes(encoded())
    assert open_image(name).tobytes() == picture().tobytes(), "a file of that name comes first"
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(IsADirectoryError):
        open_image(name)
