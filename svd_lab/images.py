"""Pictures from anywhere: :func:`open_image` makes an upright RGB picture out of what a person has at hand.

Source → bytes → Pillow picture → upright → RGB → size. Knows no models; imports no torch.
"""

from __future__ import annotations

import difflib
import io
import os
import re
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from svd_lab.bundled import BUNDLED, PICTURES
from svd_lab.image_url import MAX_BYTES, download, public_part
from svd_lab.language import mark, say
from svd_lab.settings_table import FITS

MAX_PIXELS = 80_000_000  #: 240 MB as RGB; a small file can unpack to far more (a decompression bomb)
MAX_ASPECT = 20  #: long side : short side; beyond it "crop" keeps less than a tenth and "pad" draws a thread
# Not all that Pillow knows: EPS would start Ghostscript, most others no one meets. HEIF: with pillow-heif.
_FORMATS = "JPEG PNG WEBP GIF BMP DIB TIFF AVIF HEIF MPO JPEG2000 PPM ICO TGA QOI".split()
_GIVE = mark("Give a JPEG, PNG, WebP, AVIF, GIF, TIFF or BMP picture")
_NOT_PICTURES = (  # a pattern in a file's first bytes; what that is and what to do
    (
        rb"(?is)^[^\0]*<(!doctype html|html|head|body)\b",
        mark("a web page (HTML), not a picture; give the picture's own address (right click, copy image address)"),
    ),
    (rb"(?is)^[^\0]*<svg\b", mark("an SVG drawing; export it as PNG")),
    (rb"^version https://git-lfs", mark("a Git LFS pointer in place of the picture; run: git lfs pull")),
    (rb"(?s)^.{4}ftyp(he|mif1|msf1)", mark("an HEIC picture; save it as JPEG, or register pillow-heif")),
    (
        rb"(?s)^(.{4}(ftyp|moov|mdat|wide)|\x1a\x45\xdf\xa3|RIFF....AVI )",
        mark("a video; save one frame of it as a picture"),
    ),
    (rb"^%(PDF|!PS)", mark("a PDF or PostScript document; export the page as PNG")),
    (rb"^(PK\x03\x04|\x1f\x8b|Rar!|7z\xbc\xaf)", mark("an archive; unpack it and give the picture inside")),
    (rb"^[\t\r\n -~]*$", mark("text, not a picture")),
)


def open_image(
    source: Any,
    size: tuple[int, int] | None = None,
    fit: str = "crop",
    *,
    timeout: float | tuple[float, float] = (10, 30),
) -> Image.Image:
    """Open a picture from nearly anything and bring it to the size that a pipeline wants.

    Args:
        source: a path (``str``, ``Path``; ``~`` allowed), a bundled picture's name ("rocket"; a file of that
            name comes first), an http(s) URL, the bytes of a picture file, a binary file object (read from
            where it stands), a PIL image (copied, not changed; the frame it is at), an array (H, W) or
            (H, W, 1 | 3 | 4) of uint8 0..255, uint16 0..65535, float 0..1 or bool, or a tensor (H, W) or
            (1 | 3 | 4, H, W) of the same types.
        size: (width, height) in pixels; None keeps the picture's own size.
        fit: how another shape is brought to ``size``, with LANCZOS: "crop" scales to cover and cuts both ends
            evenly, "pad" scales to fit and adds black bars, "stretch" changes the proportions. A picture that
            already has the size keeps its pixels exactly.
        timeout: seconds (connect, read) for URLs, or one number for both.

    Returns:
        A new RGB picture: upright (EXIF orientation), the first frame of an animated file, transparency over
        white. 16-bit greys are scaled, not clipped. 32-bit ones (Pillow's modes I and F) do not say their
        range: F counts as 0..1 or else 0..255, I as 0..255 or else 0..65535, whichever holds the values.
        ICC profiles are ignored, as by diffusers' ``load_image``, so that frames equal its recipe's.

    Raises:
        TypeError: a source, size or fit of the wrong type.
        ValueError: no picture, damaged, empty, too large, too long and thin, unknown fit, values off range.
        OSError: unreadable. Subclasses: FileNotFoundError (also HTTP 404), IsADirectoryError,
            PermissionError (also HTTP 401 and 403), ConnectionError (network, server errors), TimeoutError.
    """
    _check_size_and_fit(size, fit)
    return _resize(_to_rgb(_upright(_load(source, timeout))), size, fit)


def _check_size_and_fit(size: Any, fit: Any) -> None:
    if fit not in FITS:
        raise (ValueError if isinstance(fit, str) else TypeError)(
            say("fit must be one of {fits}; got {fit!r}.", fits=FITS, fit=fit)
        )
    if size is None:
        return
    pair = isinstance(size, (tuple, list)) and len(size) == 2
    if not pair or not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in size):
        raise TypeError(
            say("size must be (width, height), two whole numbers of pixels, or None; got {size!r}.", size=size)
        )
    if min(size) < 1 or int(size[0]) * int(size[1]) > MAX_PIXELS:
        raise ValueError(
            say(
                "size must be from 1x1 to {max_pixels:,} pixels in all; got {width}x{height}.",
                max_pixels=MAX_PIXELS,
                width=size[0],
                height=size[1],
            )
        )


def _load(source: Any, timeout: Any) -> Image.Image:
    """Any source → a loaded PIL image of any mode, as it lies in its file (not yet upright)."""
    if isinstance(source, Image.Image):
        _check_pixels(source.size, say("The PIL image"))
        try:
            source.load()  # Image.open is lazy: a truncated or closed file shows only here
        except Exception as error:
            raise ValueError(
                say("The PIL image cannot be read ({error}). Open it again and keep its file open.", error=error)
            ) from error
        return source
    if isinstance(source, str) and (scheme := re.match(r"\s*(?:(\w[\w+.-]+)://|(data):)", source)):
        return _decode(_from_url(source.strip(), scheme[1] or scheme[2], timeout), public_part(source.strip()))
    if isinstance(source, (str, os.PathLike)):
        return _from_path(os.fsdecode(source))
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _decode(bytes(source), say("image (the given bytes)"))
    if hasattr(source, "read"):
        data = source.read(MAX_BYTES + 1)
        if not isinstance(data, bytes):
            raise TypeError(
                say(
                    "image's file object gave {kind}, not bytes. Open it with open(name, 'rb').",
                    kind=type(data).__name__,
                )
            )
        if len(data) > MAX_BYTES:
            raise ValueError(
                say(
                    "image's file object holds more than {max_bytes:,} bytes. Give the file's path instead.",
                    max_bytes=MAX_BYTES,
                )
            )
        return _decode(data, say("image (file object {name})", name=getattr(source, "name", type(source).__name__)))
    if all(hasattr(source, name) for name in ("detach", "cpu", "numpy")):
        tensor = source.detach().cpu()
        array = (tensor.float() if tensor.is_floating_point() else tensor).numpy()  # NumPy lacks bfloat16
        if array.ndim == 3 and array.shape[0] not in (1, 3, 4) and array.shape[2] in (1, 3, 4):
            raise ValueError(
                say("A tensor has its channels first; got {shape}: image.permute(2, 0, 1).", shape=array.shape)
            )
        return _from_array(np.moveaxis(array, 0, -1) if array.ndim == 3 else array)
    if hasattr(source, "__array__"):
        return _from_array(np.asarray(source))
    raise TypeError(
        say(
            "image must be a path, an http(s) URL, bytes, a binary file, a PIL image, an array or a "
            "tensor; got {kind}. For several pictures make one call each.",
            kind=type(source).__name__,
        )
    )


def _from_url(url: str, scheme: str, timeout: Any) -> bytes:
    if scheme.lower() in ("http", "https"):
        return download(url, timeout)
    way = {
        "file": say("Give the path itself, without file://"),
        "data": say("Decode it and give the bytes: base64.b64decode(image.split(',', 1)[1])"),
    }.get(scheme.lower(), say("Download the picture and give its path"))
    raise ValueError(
        say(
            "image is {url!r}; only http: and https: addresses are opened. {way}.",
            url=public_part(url)[:60],
            way=way,
        )
    )


def _from_path(name: str) -> Image.Image:
    path = Path(os.path.expanduser(name))
    if not name.strip() or "\0" in name:
        raise ValueError(
            say("image is not a valid path: {name!r}. Give a picture file's name or an http(s) URL.", name=name)
        )
    try:
        path.lstat()  # exists() and is_file() would hide a name that is too long or a forbidden folder
        if path.is_dir():
            raise IsADirectoryError(say("image is a folder: {path}. Name a picture file inside it.", path=path))
        if path.exists() and not path.is_file():  # reading a pipe could wait for ever, /dev/zero never ends
            raise ValueError(
                say("image is not a regular file: {path}. Copy the picture into a file and name that.", path=path)
            )
        with path.open("rb") as file:
            return _decode(file, str(path))
    except (FileNotFoundError, NotADirectoryError) as error:
        if name in BUNDLED:
            return _from_path(str(BUNDLED[name]))
        folder = path.absolute().parent
        near = difflib.get_close_matches(path.name, (p.name for p in folder.glob("*")), n=1)
        hint = say("Did you mean {near!r}?", near=near[0]) if near else say("Check its name and folder.")
        raise FileNotFoundError(
            say(
                "image not found: {path} (looked in {folder}). {hint} The bundled pictures are {listed}.",
                path=path,
                folder=folder,
                hint=hint,
                listed=", ".join(PICTURES),
            )
        ) from error
    except PermissionError as error:
        raise PermissionError(
            say("image may not be read: {path}. Change its permissions or copy it.", path=path)
        ) from error
    except IsADirectoryError:
        raise
    except UnicodeEncodeError as error:
        raise ValueError(say("image is not a valid path: {name!r} holds half a character.", name=name)) from error
    except OSError as error:
        reason = error.strerror or error
        raise OSError(
            say("image cannot be read: {path!r} ({reason}). Give another file.", path=str(path)[:80], reason=reason)
        ) from error


def _decode(data: bytes | BinaryIO, name: str) -> Image.Image:
    """The bytes of a picture file, or the open file, → a loaded PIL image; ``name`` is for messages."""
    file = io.BytesIO(data) if isinstance(data, bytes) else data
    head = file.read(1024)
    file.seek(0)
    if not head:
        raise ValueError(
            say(
                "{name} is empty (0 bytes). {give}; rewind a file object that was read before.",
                name=name,
                give=say(_GIVE),
            )
        )
    Image.init()  # loads every plug-in, so that Image.OPEN is complete
    try:
        picture = Image.open(file, formats=[format for format in _FORMATS if format in Image.OPEN])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(
            say("{name} has too many pixels ({error}). Scale it down first.", name=name, error=error)
        ) from error
    except UnidentifiedImageError as error:
        what = (text for pattern, text in _NOT_PICTURES if re.search(pattern, head))
        raise ValueError(
            say(
                "{name} is {what}. {give}.",
                name=name,
                what=say(next(what, mark("not a picture that can be read"))),
                give=say(_GIVE),
            )
        ) from error
    except Exception as error:
        raise _damaged(name, error) from error
    _check_pixels(picture.size, name)
    try:
        picture.load()
        return picture
    except Exception as error:  # damaged bytes raise nearly anything: OSError, SyntaxError, struct.error, IndexError …
        raise _damaged(name, error) from error


def _damaged(name: str, error: Exception) -> ValueError:
    return ValueError(
        say("{name} is damaged or incomplete ({error}). Download or save it again.", name=name, error=error)
    )


def _check_pixels(size: tuple[int, int], name: str) -> None:
    if min(size) < 1:
        raise ValueError(
            say(
                "{name} has no pixels: {width}x{height}. {give}.",
                name=name,
                width=size[0],
                height=size[1],
                give=say(_GIVE),
            )
        )
    if size[0] * size[1] > MAX_PIXELS:
        raise ValueError(
            say(
                "{name} has {width}x{height} pixels; at most {max_pixels:,} are read. Scale it down first.",
                name=name,
                width=size[0],
                height=size[1],
                max_pixels=MAX_PIXELS,
            )
        )


def _from_array(array: np.ndarray) -> Image.Image:
    """(H, W) or (H, W, 1 | 3 | 4) of uint8, uint16, float 0..1 or bool → a PIL image, L, RGB or RGBA."""
    shape, got = array.shape, say("got {dtype} of shape {shape}", dtype=array.dtype, shape=array.shape)
    if array.ndim == 4:
        raise ValueError(say("image must be one picture, not a batch; {got}: image[0].", got=got))
    if array.ndim not in (2, 3) or shape[2:] not in ((), (1,), (3,), (4,)):
        first = array.ndim == 3 and shape[0] in (1, 3, 4)
        way = (
            say(". Channels go last: np.moveaxis(image, 0, -1)") if first else say(". Give one picture, channels last")
        )
        raise ValueError(
            say("image must be (height, width) or (height, width, 1, 3 or 4 channels); {got}{way}.", got=got, way=way)
        )
    _check_pixels((shape[1], shape[0]), "image")
    if array.dtype == np.uint16:
        array = _to_uint8(array, 65535)
    elif array.dtype == bool:
        array = array.astype(np.uint8) * 255
    elif np.issubdtype(array.dtype, np.floating):
        low, high = _range(array)
        if low < -1e-3 or high > 1 + 1e-3:  # a hair beyond comes from resizing and rounding: clipped
            way = say("divide it by 255") if 0 <= low and high <= 255 else say("scale it, (image + 1) / 2 for -1..1")
            raise ValueError(
                say("A float image must lie in 0..1; got {low:.4g}..{high:.4g}: {way}.", low=low, high=high, way=way)
            )
        array = _to_uint8(array, 1)
    elif array.dtype != np.uint8:
        raise ValueError(
            say("image must be uint8 0..255, uint16, float 0..1 or bool; {got}: image.astype('uint8')?", got=got)
        )
    return Image.fromarray(np.ascontiguousarray(array[..., 0] if shape[2:] == (1,) else array))


def _range(array: np.ndarray) -> tuple[float, float]:
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(
            say("image holds NaN or infinite values. Repair them, for instance with np.nan_to_num(image).")
        )
    return low, high


def _to_uint8(array: np.ndarray, top: float) -> np.ndarray:
    return np.round(np.clip(array.astype(np.float32) / top, 0, 1) * 255).astype(np.uint8)


def _upright(picture: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; always a copy."""
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # broken EXIF beside sound pixels tells nothing about what is up
        return picture.copy()


def _to_rgb(picture: Image.Image) -> Image.Image:
    """Every mode that Pillow opens → RGB."""
    if picture.mode.startswith("I") or picture.mode == "F":  # Pillow's own convert() clips these at 255
        low, high = _range(array := np.asarray(picture))
        tops = {"I": (255, 65535), "F": (1, 255)}.get(picture.mode, (65535,))
        top = next((top for top in tops if high <= top), None)
        if low < 0 or top is None:
            raise ValueError(
                say(
                    "image's greys must lie in 0..{top}; got {low:g}..{high:g}. Scale them first.",
                    top=tops[-1],
                    low=low,
                    high=high,
                )
            )
        picture = Image.fromarray(_to_uint8(array, top))
    if picture.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in picture.info:
        picture = (picture.convert("LA") if picture.mode == "La" else picture).convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _resize(picture: Image.Image, size: tuple[int, int] | None, fit: str) -> Image.Image:
    if size is None or picture.size == tuple(size):
        return picture
    size, (width, height) = (int(size[0]), int(size[1])), picture.size
    if fit == "stretch":
        return picture.resize(size, Image.Resampling.LANCZOS)
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ValueError(
            say(
                "image is too long and thin to {fit}: {width}x{height}, limit {max_aspect}:1. Cut out a part "
                "or give fit='stretch'.",
                fit=fit,
                width=width,
                height=height,
                max_aspect=MAX_ASPECT,
            )
        )
    way = ImageOps.fit if fit == "crop" else ImageOps.pad  # pad fills with black
    return way(picture, size, Image.Resampling.LANCZOS)
