"""The studio makes what the call makes, explains what it refuses, stops, remembers, estimates, and works headless.

The tests drive the widgets as a browser does, by setting values and clicking buttons; tests/browser_studio.py uses a real one.
"""

import io
import json
import os
import re
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path

import ipywidgets as widgets
import nbformat
import numpy as np
import pytest
import torch
from helpers import TINY_SIZE, make_picture
from PIL import Image

from svd_lab import generate_text2video, generate_video
from svd_lab.language import LANGUAGES, say
from svd_lab.performance.estimate import CPU_FIRST, FILE, Rates, _size, calibrate, estimate, learn
from svd_lab.performance.flops import count, gflop
from svd_lab.pipe_facts import size_step
from svd_lab.runner import borrow, watching
from svd_lab.settings import check_settings
from svd_lab.studio import text_studio, video_studio
from svd_lab.studio.as_code import code
from svd_lab.studio.components import STYLE, keep_reachable
from svd_lab.studio.crop import window
from svd_lab.studio.fields import TEXT_FIELDS, VIDEO_FIELDS, parse
from svd_lab.studio.history import History
from svd_lab.studio.history_view import differences
from svd_lab.studio.messages import explain
from svd_lab.studio.preview import Preview, clean, projection, to_frames

ROOT = Path(__file__).parents[2]
QUICK = {"num_frames": 3, "num_inference_steps": 2}


def same(frames, others):
    return len(frames) == len(others) and all(
        np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(frames, others, strict=True)
    )


@pytest.fixture(autouse=True)
def close_widgets():
    """ipywidgets keeps every widget, and all that its callbacks refer to, until it is closed."""
    yield
    widgets.Widget.close_all()


@pytest.fixture
def studio(tiny_pipe, picture_file, tmp_path):
    """A studio over the tiny model with quick settings and its panel open; nothing is measured yet."""
    made = video_studio(tiny_pipe, language="en", image=picture_file, out_dir=tmp_path / "studio", **QUICK)
    panel(made)
    return made


def panel(studio):
    """The panel of a studio, without the thread that measures the machine."""
    from svd_lab.studio.panel import Panel

    if studio._panel is None:
        studio._panel = Panel(studio._session)
    return studio._panel


def type_in(studio, name, text):
    panel(studio)._inputs[name].value = text


def click(button):
    """Click a button unless it is disabled, as a browser does."""
    if not button.disabled:
        button.click()


def press_run(studio):
    click(panel(studio).run_button)


def words(studio):
    return re.sub("<[^>]+>", "", panel(studio).status.value)


def everything(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from everything(child)


def wait_until(promise, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if promise():
            return
        time.sleep(0.01)
    pytest.fail(f"it did not happen within {seconds} seconds")


@pytest.fixture
def slow_steps(tiny_pipe):
    """Steps wait until .set(), so that a run lasts as long as a test needs it."""
    go = threading.Event()
    hook = tiny_pipe.unet.register_forward_pre_hook(lambda *_: None if go.wait(30) else None)
    yield go
    go.set()
    hook.remove()


# The same video as the call


def test_a_run_of_the_panel_makes_the_frames_of_the_call(studio, tiny_pipe, picture_file, tmp_path):
    press_run(studio)
    clip = studio.wait(60)
    plain = generate_video(picture_file, tmp_path / "plain.mp4", 42, pipe=tiny_pipe, **QUICK)
    assert same(clip.frames, plain.frames) and clip.path.parent == tmp_path / "studio"
    assert "Done!" in words(studio) and "Seed 42" in words(studio)
    assert "<video" in panel(studio).output.value and "All frames" in panel(studio).result.value


def test_the_code_of_a_run_makes_the_same_frames(studio):
    for name, text in {
        "motion_bucket_id": "200",
        "noise_aug_strength": "0.1",
        "seed": "-1",
        "playback_fps": "3.5",
    }.items():
        type_in(studio, name, text)
    press_run(studio)
    clip = studio.wait(60)
    shown = code(studio._session, studio._session.history.runs[-1])
    assert "motion_bucket_id=200" in shown and "fit=" not in shown, "defaults are left out"
    names = {}
    exec(shown, names)
    assert (
        same(names["clip"].frames, clip.frames) and names["clip"].seed == clip.seed and names["clip"].path == clip.path
    )


def test_the_code_of_a_text_makes_the_same_frames(tiny_pipe, tiny_image_pipe, tmp_path):
    settings = {**QUICK, "image_num_inference_steps": 2, "prompt": 'a "red" rocket'}
    studio = text_studio(tiny_pipe, tiny_image_pipe, language="en", out_dir=tmp_path / "s", seed=7, **settings)
    press_run(studio)
    clip = studio.wait(60)
    assert clip is not None, words(studio)
    plain = generate_text2video(
        video_file=tmp_path / "plain.mp4",
        seed=7,
        pipe=tiny_pipe,
        image_pipe=tiny_image_pipe,
        on_image=lambda _: 0,
        **settings,
    )
    assert same(clip.frames, plain.frames)
    names = {}
    exec(code(studio._session, studio._session.history.runs[-1]), names)
    assert same(names["clip"].frames, clip.frames)


def test_an_uploaded_picture_is_kept_on_disk_and_named_in_the_code(studio, tmp_path):
    make_picture(seed=3).save(buffer := io.BytesIO(), "PNG")
    upload = panel(studio).picker.upload
    upload.value = (
        {
            "name": "../my cat.png",
            "type": "image/png",
            "size": 1,
            "last_modified": datetime.now(),
            "content": buffer.getvalue(),
        },
    )
    wait_until(lambda: "my-cat" in str(studio._session.source))
    kept = Path(studio._session.source)
    assert kept.parent == tmp_path / "studio" / "pictures" and kept.read_bytes() == buffer.getvalue()
    press_run(studio)
    studio.wait(60)
    assert repr(kept.as_posix()) in code(studio._session, studio._session.history.runs[-1])


# Refusals, before anything runs

BAD = ["abc", "1.5x", "nan", "inf", "1_0", "--1", "1e999", "<b>", "१/२", "9" * 50]


@pytest.mark.parametrize("field", VIDEO_FIELDS, ids=lambda field: field.name)
def test_bad_values_are_explained_before_any_model_runs(field, studio, model_calls):
    if field.kind == "fit":
        return  # a dropdown allows nothing else
    bad = (
        ["a/b.mp4", ".hidden", "x" * 300]
        if field.kind == "name"
        else [*BAD, f"{field.low - 1:g}", f"{field.high + 1:.12g}"]
    )
    if field.kind in ("whole", "side"):
        bad.append("7.5")
    if field.blank is None:
        bad.append("  ")
    for text in bad:
        type_in(studio, field.name, text)
        problem = panel(studio)._problems[field.name].value
        assert "role=alert" in problem and "<b>" not in problem, f"{field.name}={text!r}: {problem}"
        press_run(studio)
        assert "red" in words(studio)
    assert studio.wait(0) is None and not any(model_calls.values())


@pytest.mark.parametrize("field", [f for f in (*VIDEO_FIELDS, *TEXT_FIELDS) if f.high], ids=lambda field: field.name)
def test_the_ranges_of_the_fields_are_those_of_the_calls(field):
    call = "generate_text2video" if field.image else "generate_video"
    needed = {"prompt": "a horse"} if field.image else {}
    step = 8 if field.kind == "side" else 1 if field.kind == "whole" else 0.001
    extra = {"min_guidance_scale": {"max_guidance_scale": 100}, "max_guidance_scale": {"min_guidance_scale": 0}}.get(
        field.name, {}
    )

    def taken(value):
        value = int(value) if field.kind != "real" else value
        try:
            check_settings(call, needed | extra | {field.name: value})
            ours = True
        except ValueError:
            ours = False
        try:
            parse(field, f"{value!r}", "ko")
            return ours, True
        except ValueError:
            return ours, False

    assert taken(field.low) == taken(field.high) == (True, True)
    assert taken(field.low - step) == taken(field.high + step) == (False, False)


@pytest.mark.parametrize(
    "changes, name, sentence",
    [
        ({"min_guidance_scale": "5"}, "min_guidance_scale", "must not exceed"),
        ({"width": "100"}, "width", "multiple of 8"),
        ({"file": "there"}, "file", "already exists"),
    ],
)
def test_values_that_contradict_each_other_are_refused(studio, model_calls, tmp_path, changes, name, sentence):
    (tmp_path / "studio").mkdir(exist_ok=True)
    (tmp_path / "studio" / "there.mp4").write_bytes(b"")
    for key, text in changes.items():
        type_in(studio, key, text)
    press_run(studio)
    assert sentence in panel(studio)._problems[name].value and not any(model_calls.values())


@pytest.mark.parametrize("source", ["no-such.png", "/", "ftp://x/y.png", "http://127.0.0.1:9/x.png"])
def test_a_bad_picture_is_explained_and_the_old_one_stays(studio, source):
    before = studio._session.source
    view = panel(studio).picker
    view.path.value = source
    wait_until(lambda: "role=alert" in view.problem.value)
    assert studio._session.source == before and "Traceback" not in view.problem.value


def test_a_moved_crop_is_what_the_model_gets_and_what_the_code_names(studio, tiny_pipe, tmp_path):
    wide = np.zeros((40, 160, 3), np.uint8)
    wide[:, 100:] = 255  # black on the left, white on the right
    Image.fromarray(wide).save(tmp_path / "wide.png")
    view = panel(studio).picker
    assert view.slider.layout.display == "none", "this picture has the video's shape"
    view.use(str(tmp_path / "wide.png"))
    wait_until(lambda: view.slider.layout.display != "none")
    before = np.asarray(studio._session.model_input())
    view.slider.value = 0.0
    moved = np.asarray(studio._session.model_input())
    assert before.mean() > moved.mean() == 0
    press_run(studio)
    clip = studio.wait(60)
    run = studio._session.history.runs[-1]
    assert run["picture"] == {"source": str(tmp_path / "wide.png"), "crop": 0.0}
    names = {}
    exec(code(studio._session, run), names)
    assert same(names["clip"].frames, clip.frames) and "wide-part-" in run["source"]
    view.use("rabbit")
    wait_until(lambda: studio._session.source == "rabbit")
    assert studio._session.crop == 0.5
    panel(studio)._restore(run)
    wait_until(lambda: studio._session.source == str(tmp_path / "wide.png"))
    assert studio._session.crop == view.slider.value == 0.0


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("size", [(400, 100), (100, 400), (224, 128), (7, 9), (1, 50)])
def test_a_crop_has_the_videos_shape_and_lies_in_the_picture(size, share):
    part = window(size, (224, 128), share)
    if size == (224, 128):
        assert part is None
        return
    left, top, right, bottom = part
    assert 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]
    assert right - left == size[0] or bottom - top == size[1], "no more is cut than must be"
    if min(size) > 50:
        assert abs((right - left) / (bottom - top) - 224 / 128) < 0.03


def test_another_model_is_chosen_with_its_settings_and_the_code_loads_it(studio):
    """The tiny model, the bundled ones, and back; a run says which one made it."""
    view = panel(studio).model
    tiny = view.model.value
    assert {"mini", "mini-turbo"} < {name for _, name in view.model.options}
    view.model.value = "mini-turbo"
    view.thread.join(120)
    assert view.model.value == "mini-turbo" and panel(studio)._inputs["num_inference_steps"].value == "4"
    type_in(studio, "num_frames", "2")
    press_run(studio)
    clip = studio.wait(120)
    run = studio._session.history.runs[-1]
    assert clip.frames[0].size == (224, 128) and run["model"]["name"] == "mini-turbo"
    assert "load_video_pipeline('mini-turbo', device='cpu')" in code(studio._session, run)
    view.model.value = tiny
    view.thread.join(120)
    assert panel(studio)._inputs["num_inference_steps"].value == str(QUICK["num_inference_steps"])
    assert studio._session.pipe is studio._session._given_pipe


def test_another_speed_is_in_the_code_and_gives_the_same_frames(studio):
    view = panel(studio).model
    assert [name for _, name in view.speed.options] == ["exact", "fused"]
    view.speed.value = "fused"
    view.thread.join(60)
    try:
        press_run(studio)
        clip = studio.wait(60)
        run = studio._session.history.runs[-1]
        names = {}
        exec(code(studio._session, run), names)
        assert "speed='fused'" in code(studio._session, run) and same(names["clip"].frames, clip.frames)
    finally:
        studio._session.choose(view.model.value, "exact")


def test_a_model_that_cannot_be_loaded_leaves_the_old_one(studio, monkeypatch):
    monkeypatch.setattr("svd_lab.studio.session.load_video_pipeline", lambda *_, **__: 1 / 0)
    view = panel(studio).model
    before = view.model.value
    view.model.value = "mini"
    view.thread.join(60)
    assert "role=alert" in view.about.value and view.model.value == before and not view.loading.is_set()


def test_a_card_says_what_differs_from_the_video_before():
    def run(**changes):
        call = {
            "seed": 42,
            "num_inference_steps": 10,
            "fit": "crop",
            "width": None,
            "min_guidance_scale": 1.0,
        } | changes
        picture = {"source": call.pop("source", "rocket"), "crop": 0.5}
        return {"call": call, "picture": picture, "model": {"name": call.pop("model", "mini")}}

    assert differences(run(), None, "en") == ["the first video"]
    assert differences(run(), run(), "en") == ["the same settings"]
    assert differences(run(num_inference_steps=5), run(), "en") == ["Steps 10 → 5"]
    assert differences(run(num_inference_steps=5), run(), "ko") == ["스텝 수 10 → 5"]
    assert differences(run(source="photos/cat.png"), run(), "en") == ["Picture rocket → cat"]
    assert differences(run(source="s/cat-0123abcd.png"), run(), "ko") == ["그림 로켓 → cat"]
    assert differences(run(width=320, fit="pad"), run(), "en") == [
        "Fitting the picture crop → pad",
        "Width trained size → 320",
    ]
    many = differences(run(seed=1, num_inference_steps=5, fit="pad", width=8, model="mini-turbo"), run(), "en")
    assert many[0] == "Model mini → mini-turbo" and many[3] == "and 2 more"
    old = {"call": {"seed": 1}, "source": "rocket"}  # of an earlier version
    assert "Seed 1 → 42" in differences(run(), old, "en")


def test_colab_is_told_its_limit_for_uploads(monkeypatch, tiny_pipe, picture_file, tmp_path):
    monkeypatch.setitem(sys.modules, "google.colab", object())
    made = panel(video_studio(tiny_pipe, language="en", image=picture_file, out_dir=tmp_path))
    shown = "".join(w.value for w in everything(made.picker.box) if isinstance(w, widgets.HTML))
    assert "up to 1 MB" in shown and "/content/" in shown and "8 MB" not in shown
    assert "svd-framed" in made.box._dom_classes


def test_an_upload_button_has_its_label_in_each_language(studio):
    """ipywidgets counts files behind the label; the style writes the label without that."""
    for language in LANGUAGES:
        label = say("Upload a picture", language)
        assert f'.svd-upload-{language}::after {{content: "{label}";}}' in STYLE


@pytest.mark.parametrize("language, words", [("ko", "그림이 없어요"), ("en", "image not found")])
def test_errors_of_the_package_speak_the_panels_language(language, words, tiny_pipe, picture_file, tmp_path):
    made = panel(video_studio(tiny_pipe, language=language, image=picture_file, out_dir=tmp_path))
    made.picker.use("no-such.png")
    wait_until(lambda: "role=alert" in made.picker.problem.value)
    assert words in made.picker.problem.value


def test_every_control_has_a_name_of_its_own(studio):
    controls = [
        w for w in everything(panel(studio).box) if isinstance(w, widgets.Button | widgets.Text | widgets.Dropdown)
    ]
    names = [(type(w).__name__, w.description, w.tooltip) for w in controls]
    assert all(name[1] for name in names) and len(set(names)) == len(names) > 20


def test_clicks_after_a_reload_go_where_the_page_sends_them(studio):
    """ipykernel 7.4 would send them to the subshell of the latest change, which is gone with the page that started the run."""
    from ipykernel.comm.comm import BaseComm

    if not hasattr(BaseComm, "_reply_subshell_for"):
        pytest.skip("this ipykernel sends them there itself")
    comm = BaseComm(comm_id="run", target_name="jupyter.widget", primary=False)
    comm._reply_subshell_id = "of the page that was closed"
    assert comm._reply_subshell_for({}, "of this page") == "of the page that was closed", (
        "what keep_reachable works around"
    )
    run_button = panel(studio).run_button
    before, run_button.comm = run_button.comm, comm
    keep_reachable(panel(studio).box)
    run_button.comm = before
    assert comm._reply_subshell_for({}, "of this page") == "of this page"


# Stopping, waiting, errors


def test_a_second_run_is_refused_while_one_is_running(studio, slow_steps):
    press_run(studio)
    press_run(studio)
    assert "Already running" in words(studio)
    slow_steps.set()
    studio.wait(60)
    assert len(studio.clips) == 1


def test_cancel_ends_the_run_within_a_step_and_leaves_no_file(studio, model_calls, slow_steps, tmp_path):
    type_in(studio, "num_inference_steps", "50")
    press_run(studio)
    wait_until(lambda: model_calls["unet"] == 1)
    click(panel(studio).cancel_button)
    slow_steps.set()
    studio.wait(30)
    assert "Stopped" in words(studio) and model_calls["unet"] <= 2 and not list(tmp_path.rglob("*.mp4"))
    type_in(studio, "num_inference_steps", "2")
    press_run(studio)
    assert studio.wait(60) is not None, "the pipeline can be used again"


def test_what_is_typed_during_a_run_does_not_change_it(studio, slow_steps):
    press_run(studio)
    type_in(studio, "motion_bucket_id", "9")
    slow_steps.set()
    studio.wait(60)
    run = studio._session.history.runs[-1]
    assert run["call"]["motion_bucket_id"] == 127 and run["texts"]["motion_bucket_id"] == "127"


def test_an_error_is_explained_with_its_traceback_folded(studio, tiny_pipe, monkeypatch):
    monkeypatch.setattr(tiny_pipe.vae, "decode", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("<boom>")))
    press_run(studio)
    studio.wait(60)
    shown = panel(studio).status.value
    assert "The video could not be made. &lt;boom&gt;" in shown and "<details>" in shown and "Traceback" in shown
    assert panel(studio).cancel_button.disabled and studio.clip is None


def test_out_of_memory_is_explained_with_what_helps():
    for error in (
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("can't allocate memory: 4 GB"),
    ):
        assert "fewer frames" in explain(error, "en") and "프레임 수" in explain(error, "ko")


# History


def test_history_restores_settings_and_picture_also_in_a_new_kernel(studio, tiny_pipe, picture_file, tmp_path):
    type_in(studio, "motion_bucket_id", "33")
    press_run(studio)
    studio.wait(60)
    later = video_studio(tiny_pipe, language="ko", image="rabbit", out_dir=tmp_path / "studio")
    back = next(
        w for w in everything(panel(later).history.box) if isinstance(w, widgets.Button) and "1번" in w.description
    )
    click(back)
    wait_until(lambda: later._session.source == str(picture_file))
    assert panel(later)._inputs["motion_bucket_id"].value == "33" and panel(later)._inputs["num_frames"].value == "3"
    assert "<video" in panel(later).output.value
    press_run(later)
    again = later.wait(60)
    assert again is not None, words(later)
    assert same(again.frames, studio.clip.frames) and len({run["file"] for run in later._session.history.runs}) == 2


def test_damaged_or_foreign_lines_of_history_are_skipped(tmp_path):
    good = {"number": 1, "texts": {}, "call": {}, "file": "a.mp4"}
    lines = [
        json.dumps(good),
        json.dumps(good)[:20],
        "[]",
        "null",
        json.dumps(good | {"file": "../../etc/passwd"}),
        "\x00",
    ]
    (tmp_path / "runs.jsonl").write_text("\n".join(lines))
    assert [run["file"] for run in History(tmp_path).runs] == ["a.mp4"]


def test_two_runs_play_side_by_side_in_step(studio, tmp_path):
    for motion, frames in (("20", "3"), ("200", "5")):
        type_in(studio, "motion_bucket_id", motion)
        type_in(studio, "num_frames", frames)
        press_run(studio)
        studio.wait(60)
    history = panel(studio).history
    click(history.button)
    assert "at least two videos" in history.compared.value
    for _, box in history._cards.values():
        box.value = True
    click(history.button)
    assert "motion_bucket_id=20" in history.compared.value and "motion_bucket_id=200" in history.compared.value
    frames = History(tmp_path / "studio").frames({"file": "compared.mp4"})
    assert len(frames) == 5 and frames[0].width >= 2 * TINY_SIZE[0]


# Estimates


def test_flop_are_those_that_torch_counts(tiny_pipe, tiny_folder, tmp_path):
    from diffusers import StableVideoDiffusionPipeline
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    plain = StableVideoDiffusionPipeline.from_pretrained(tiny_folder)  # without our speed-ups, which save some
    settings = {"num_frames": 4, "num_inference_steps": 1, "decode_chunk_size": 4, "width": 96, "height": 64}
    # FlopCounterMode does not know the CPU's own attention.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False, depth=1) as counter:
        generate_video(make_picture(), tmp_path / "a.mp4", pipe=plain, on_step=lambda *_: None, **settings)
    totals = {name.split(".")[-1]: sum(ops.values()) / 1e9 for name, ops in counter.get_flop_counts().items()}
    mine = estimate(tiny_pipe, settings, Rates(1, 0))
    assert mine.step == pytest.approx(totals["UNetSpatioTemporalConditionModel"], rel=0.01)
    vae = estimate(tiny_pipe, settings, Rates(0, 1)).seconds - FILE
    assert vae == pytest.approx(totals["Encoder"] + totals["TemporalDecoder"], rel=0.01)


def test_the_estimate_learns_from_runs_whatever_their_settings(tiny_pipe):
    true = Rates(0.03, 0.01, call=0.002)
    runs = []
    for frames, steps in ((4, 5), (14, 10), (8, 25)):
        settings = {
            "num_frames": frames,
            "num_inference_steps": steps,
            "decode_chunk_size": 2,
            "width": 96,
            "height": 64,
        }
        took = estimate(tiny_pipe, settings, true)
        runs.append({"settings": settings, "step_seconds": took.step, "rest_seconds": took.seconds - steps * took.step})
    known = learn(tiny_pipe, runs, Rates(1, 1, call=0.002))
    assert (known.step, known.decode, known.call) == pytest.approx((true.step, true.decode, true.call))
    assert learn(tiny_pipe, [], true) is true
    slow = runs[0] | {"step_seconds": 3 * (runs[0]["step_seconds"] - 0.002) + 0.002}
    assert learn(tiny_pipe, [slow], true).step == pytest.approx(2 * true.step)  # halfway: it may have compiled kernels
    assert learn(tiny_pipe, [slow, *runs[1:]], Rates(1, 1, call=0.002)).step == pytest.approx(true.step)


def test_fused_blocks_take_less_memory_and_the_same_flop(tiny_pipe):
    """With svd on an H100 the estimate was a third too high when it counted the plain blocks, and 7% with the fused ones."""
    from svd_lab.performance import speed

    plain = count(tiny_pipe)
    speed.apply(tiny_pipe, "fused")
    try:
        fused = count(tiny_pipe)
    finally:
        speed.apply(tiny_pipe, "exact")
    assert fused.step == plain.step and fused.decode == plain.decode
    assert fused.step_bytes < 0.95 * plain.step_bytes
    assert count(tiny_pipe) is plain


def test_calibration_leaves_pipeline_and_random_state_alone(tiny_pipe, picture_file, tmp_path):
    before = generate_video(picture_file, tmp_path / "a.mp4", pipe=tiny_pipe, **QUICK)
    state = torch.get_rng_state()
    with borrow(tiny_pipe):
        rates = calibrate(tiny_pipe)
        projection(tiny_pipe)
    assert rates.step > 0 and rates.decode > 0 and torch.equal(state, torch.get_rng_state())
    after = generate_video(picture_file, tmp_path / "b.mp4", pipe=tiny_pipe, **QUICK)
    assert same(before.frames, after.frames)


def test_calibration_stays_within_its_limit_of_work(tiny_pipe):
    cost, native = count(tiny_pipe).decode, TINY_SIZE[::-1]
    whole = gflop(cost, 1, TINY_SIZE[0] * TINY_SIZE[1])
    assert _size(tiny_pipe, cost, 1, most=whole * 1.01) == native
    less = _size(tiny_pipe, cost, 1, most=whole * 0.99)
    assert gflop(cost, 1, less[0] * less[1]) < whole and all(side % size_step(tiny_pipe) == 0 for side in less)
    assert _size(tiny_pipe, cost, 1, most=0) == (size_step(tiny_pipe),) * 2, "the smallest size, however slow"


def test_memory_grows_with_the_frames_that_are_decoded_at_a_time(tiny_pipe):
    settings = {"num_frames": 8, "num_inference_steps": 1, "width": 96, "height": 64}
    one, eight = (estimate(tiny_pipe, settings | {"decode_chunk_size": n}, Rates(1, 1)).bytes for n in (1, 8))
    assert eight - CPU_FIRST > 1.5 * (one - CPU_FIRST) > 0
    assert count(tiny_pipe).decode_bytes > count(tiny_pipe).encode_bytes > 0


# Previews


def test_a_preview_is_the_clean_video_of_its_step(tiny_pipe, picture_file, tmp_path):
    """Against diffusers' own pred_original_sample, which its scheduler computes and the pipeline drops."""
    truth, found, before = [], [], []
    step = type(tiny_pipe.scheduler).step

    def spy(self, *args, **kwargs):
        result = step(self, *args, **kwargs)
        truth.append(result.pred_original_sample)
        return result

    def look(pipe, index, latents):
        found.append(clean(pipe, index, before[-1] if before else None, latents))
        before.append(latents)

    with pytest.MonkeyPatch.context() as patch, watching(look):
        patch.setattr(type(tiny_pipe.scheduler), "step", spy)
        generate_video(picture_file, tmp_path / "a.mp4", pipe=tiny_pipe, num_frames=2, num_inference_steps=6)
    assert found[0] is None and len(found) == len(truth) == 6
    for mine, true in zip(found[1:], truth[1:], strict=True):
        assert torch.allclose(mine, true, atol=1e-3 * float(true.abs().max()))


def test_the_projection_shows_the_minis_colours():
    from svd_lab import load_video_pipeline, open_image
    from svd_lab.bundled import PICTURES

    pipe = load_video_pipeline("mini", device="cpu")
    with borrow(pipe):
        projection(pipe)
    for name in ("rocket", "rabbit", "balloon"):
        picture = open_image(PICTURES[name], size=(224, 128))
        tensor = torch.from_numpy(np.asarray(picture).copy()).movedim(-1, 0)[None] / 127.5 - 1
        with torch.no_grad():
            latents = pipe.vae.encode(tensor).latent_dist.mode() * pipe.vae.config.scaling_factor
        (shown,) = to_frames(pipe, latents)
        small = np.asarray(picture.resize(shown.size, Image.Resampling.BOX), float)
        off = np.abs(np.asarray(shown, float) - small).mean()
        flat = np.abs(small - small.mean((0, 1))).mean()
        assert off < 0.5 * flat, f"{name}: {off:.1f} of 255 off; a single colour is {flat:.1f} off"


def test_a_failing_preview_ends_itself_and_not_the_run(tiny_pipe, picture_file, tmp_path, monkeypatch):
    with borrow(tiny_pipe):
        projection(tiny_pipe)
    monkeypatch.setattr("svd_lab.studio.preview.SHARE", 1e9)
    calls = []
    preview = Preview(lambda data: calls.append(data) or 1 / 0)
    with watching(preview):
        clip = generate_video(picture_file, tmp_path / "a.mp4", pipe=tiny_pipe, num_frames=2, num_inference_steps=6)
    assert len(clip) == 2 and len(calls) == 1 and isinstance(preview.error, ZeroDivisionError)
    assert Image.open(io.BytesIO(calls[0])).n_frames == 2


# Without a front end


def test_without_a_front_end_the_settings_are_printed_and_nothing_runs(
    tiny_pipe, picture_file, tmp_path, capsys, model_calls
):
    studio = video_studio(tiny_pipe, language="ko", image=picture_file, out_dir=tmp_path, motion_bucket_id=77)
    printed = capsys.readouterr().out
    assert re.search(r"움직임 +77 +motion_bucket_id", printed) and "재생 fps" in printed
    assert not any(model_calls.values()) and studio.clip is None
    assert set(studio._repr_mimebundle_()) == {"text/plain"}


def test_headless_it_runs_once_in_the_main_thread(tiny_pipe, picture_file, tmp_path, capsys):
    before = threading.active_count()
    studio = video_studio(tiny_pipe, image=picture_file, out_dir=tmp_path, run_headless=True, seed=5, **QUICK)
    assert studio.clip.seed == 5 and "rocket-001.mp4" in capsys.readouterr().out and threading.active_count() == before
    with pytest.raises(ValueError, match="Motion"):
        video_studio(tiny_pipe, image=picture_file, out_dir=tmp_path, run_headless=True, motion_bucket_id=300)


@pytest.mark.slow
def test_papermill_gets_table_and_video_and_does_not_hang(tiny_folder, picture_file, tmp_path):
    source = f"""from svd_lab import load_video_pipeline
from svd_lab.controls import video_studio
from svd_lab.studio.studio import has_front_end
pipe = load_video_pipeline({str(tiny_folder)!r})
assert not has_front_end()
video_studio(pipe, image={str(picture_file)!r}, out_dir={str(tmp_path / "s")!r}, run_headless=True, num_frames=2,
             num_inference_steps=2)"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "a.ipynb")
    done = subprocess.run(
        [sys.executable, "-m", "papermill", "a.ipynb", "b.ipynb"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    outputs = nbformat.read(tmp_path / "b.ipynb", as_version=4).cells[0].outputs
    text = "".join(output.get("text", "") for output in outputs)
    assert "motion_bucket_id" in text and any(
        "<video" in output.get("data", {}).get("text/html", "") for output in outputs
    )


def test_a_studio_in_a_lesson_takes_its_folders_language_and_prints_none(tiny_pipe, tmp_path, capsys, monkeypatch):
    """Both languages of a lesson share the outputs of one run, so what is printed is in neither."""
    for path, language in (("lessons/en/02.ipynb", "en"), ("ko/a.ipynb", "ko"), ("en.ipynb", "en"), ("", "en")):
        monkeypatch.setenv("JPY_SESSION_NAME", path)
        studio = video_studio(tiny_pipe, out_dir=tmp_path, num_frames=4)
        assert studio._session.language == language
        printed = capsys.readouterr().out
        assert re.search(r"^num_frames +4$", printed, re.M) and re.search(r"^playback_fps +None$", printed, re.M)
        assert printed.isascii()


def test_a_wrong_language_or_setting_is_answered_with_the_right_ones(tiny_pipe, tmp_path):
    with pytest.raises(ValueError, match="'ko', 'en'"):
        video_studio(tiny_pipe, language="fr", out_dir=tmp_path)
    with pytest.raises(TypeError, match="no setting steps; it has motion_bucket_id"):
        video_studio(tiny_pipe, out_dir=tmp_path, steps=3)


def test_the_estimate_and_how_far_it_was_off_are_shown_after_the_run(studio):
    """The run's record has the estimate and the time taken, so that the panel can compare them."""
    studio._session.prepare()
    assert studio._session.unmeasured == ""
    press_run(studio)
    studio.wait(60)
    run = studio._session.history.runs[-1]
    assert run["estimated"] > 0 and run["seconds"] > 0 and run["video"]["rest_seconds"] > 0
    assert "% off" in words(studio)
