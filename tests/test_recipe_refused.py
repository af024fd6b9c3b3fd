"""Reading a recipe from a file that someone else gave us: what is foreign, damaged or hostile is refused in words, unused."""

# ruff: noqa: F811 (a test names the fixtures that it takes)

import json
import random
import re
import struct
import zlib

import pytest
from helpers import make_picture
from test_recipe import clip, forged, noise, png  # noqa: F401 (two are fixtures)

from svd_lab import read_recipe, replay
from svd_lab.recipe import sha256
from svd_lab.recipe_file import read_picture


def changed(**values):
    return lambda recipe: json.dumps({**recipe, **values})


@pytest.mark.parametrize(
    ("forge", "words"),
    [
        (lambda recipe: None, "there is no comment in it"),
        (lambda recipe: '{"prompt": {"nodes": []}}', "comment is another program's"),
        (lambda recipe: json.dumps(recipe)[:-9], "damaged"),
        (lambda recipe: "[" * 100_000 + '"svd_lab_recipe"', "damaged"),
        (lambda recipe: '["svd_lab_recipe"]', "not a JSON object"),
        (lambda recipe: json.dumps(recipe).replace('"seed": 7', '"seed": NaN'), "NaN is not a JSON number"),
        (lambda recipe: json.dumps(recipe).replace('"seed": 7', '"seed": 7, "seed": 8'), "appears twice"),
        (lambda recipe: json.dumps(recipe).replace('"seed": 7', '"seed": ' + "9" * 5000), "damaged"),
        (lambda recipe: json.dumps(recipe) + " " * 2_000_001, "longer than 2,000,000 bytes"),
        (lambda recipe: json.dumps(recipe) + " " * 5_000_000, "more than 4,000,000 bytes"),
        (changed(svd_lab_recipe=2), "format 2, from a newer svd-lab; this one knows 1. Update"),
        (changed(svd_lab_recipe="1"), "number of the format"),
        (changed(svd_lab_recipe=True), "number of the format"),
        (changed(svd_lab_recipe=0), "number of the format"),
        (changed(call="os.system"), "call must be one of generate_video"),
        (changed(call=["generate_video"]), "call must be one of"),
        (changed(on_step="__import__('os')"), "1 keys are unknown"),
        (lambda recipe: json.dumps({k: v for k, v in recipe.items() if k != "fit"}), "fit is missing"),
        (changed(seed="__import__('os').system('touch /tmp/x')"), "seed must be a whole number"),
        (changed(seed=-1), "a setting is open"),
        (changed(num_frames=10**9), "num_frames must be"),
        (changed(width=None), "a setting is open"),
        (changed(playback_fps=None), "a setting is open"),
        (changed(fps=True), "fps must be"),
        (changed(fit="tile"), "fit must be"),
        (changed(image=7), "image cannot be"),
        (changed(model=""), "model cannot be"),
        (changed(device="cuda; rm"), "device cannot be"),
        (changed(image_sha256="0" * 63), "image_sha256 cannot be"),
        (changed(weights={"a": 1}), "weights cannot be"),
        (changed(versions={"torch": [1]}), "versions must be"),
        (changed(versions={str(i): "" for i in range(21)}), "versions must be"),
    ],
)  # fmt: skip
def test_a_foreign_damaged_or_hostile_recipe_is_refused_in_words(forged, clip, tiny_pipe, forge, words):
    path = forged(forge(clip.recipe))
    for use in (read_recipe, read_picture, lambda path: replay(path, path.with_name("b.mp4"), pipe=tiny_pipe)):
        with pytest.raises(ValueError, match=re.escape(words)) as error:
            use(path)
        assert "forged.mp4" in str(error.value) and len(str(error.value)) < 600
    assert not path.with_name("b.mp4").exists()


def bomb(side):
    """A PNG of a hundred bytes that names side x side pixels: 240 MB at 9,000, which Pillow lets pass, 10 GB at 60,000."""
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("forge", "words"),
    [
        (lambda image: png(make_picture(seed=3)), "a picture that does not match its recipe"),
        (lambda image: png(image.convert("L")), "it is L"),
        (lambda image: png(image.resize((8, 8))), r"it is RGB of \(8, 8\)"),
        (lambda image: bomb(9_000), r"it is RGB of \(9000, 9000\)"),
        (lambda image: bomb(60_000), "damaged or not ours"),
        (lambda image: png(image)[:300], "damaged or not ours|does not match its recipe"),
        (lambda image: b"GIF89a" + bytes(99), "damaged or not ours"),
        (lambda image: png(noise(840)), "more than 2,000,000 bytes"),
    ],
    ids=["another", "grey", "small", "bomb", "great bomb", "cut", "no PNG", "large"],
)
def test_a_damaged_or_hostile_picture_is_refused_in_words(forged, clip, tiny_pipe, tmp_path, forge, words):
    cover, whole = forge(clip.image), png(noise(200))  # ffmpeg packs no broken picture: it takes a whole one's place
    path = forged(clip.recipe, whole if len(cover) < len(whole) else cover)
    path.write_bytes(path.read_bytes().replace(whole, cover.ljust(len(whole), b"\0")))
    assert read_recipe(path) == clip.recipe
    for use in (read_picture, lambda path: replay(path, tmp_path / "b.mp4", pipe=tiny_pipe)):
        with pytest.raises(ValueError, match=words):
            use(path)


def test_what_is_no_mp4_is_refused_and_nothing_that_it_names_is_opened(clip, tmp_path):
    """ffmpeg would follow a playlist to its file, were it left to guess."""
    (tmp_path / "list.mp4").write_text(f"ffconcat version 1.0\nfile '{clip.path}'\n")
    (tmp_path / "web.mp4").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{clip.path.as_uri()}\n#EXT-X-ENDLIST\n"
    )
    (tmp_path / "text.mp4").write_text(f";FFMETADATA1\ncomment={json.dumps(clip.recipe)}\n")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "cut.mp4").write_bytes(clip.path.read_bytes()[:500])
    clip.save_gif(tmp_path / "a.gif")
    for name in ("list.mp4", "web.mp4", "text.mp4", "empty.mp4", "cut.mp4", "a.gif"):
        with pytest.raises(ValueError, match=f"{name} cannot be read as an mp4"):
            read_recipe(tmp_path / name)


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("no.mp4", FileNotFoundError, "no file no.mp4"),
        (".", OSError, "a folder or a device"),
        ("https://example.com/a.mp4", ValueError, "not from a web address"),
        ("", ValueError, "needs a name"),
        ("a\0b", ValueError, "NUL"),
        (7, TypeError, "not 7"),
    ],
)
def test_what_is_no_file_is_refused(path, kind, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=words):
        read_recipe(path)


def test_flipped_bytes_give_the_recipe_or_words(clip, tmp_path):
    data, dice = clip.path.read_bytes(), random.Random(0)
    start, end = data.index(b"moov"), data.index(b"mdat")
    refused = 0
    for _ in range(40):
        broken = bytearray(data)
        for _ in range(3):
            broken[dice.randrange(start, end)] = dice.randrange(256)
        (tmp_path / "a.mp4").write_bytes(broken)
        try:
            recipe = read_recipe(tmp_path / "a.mp4")
            assert recipe.keys() == clip.recipe.keys()
            picture = read_picture(tmp_path / "a.mp4")
            assert picture is None or sha256(picture) == recipe["image_sha256"]
        except ValueError as error:
            refused += 1
            assert "a.mp4" in str(error)
    assert refused > 10
