"""Evaluations of the mini: truth is perfect, a copy scores nothing, and every kind of failure shows in its own figure."""

import dataclasses
import json
import math
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from svd_lab.mini.catalogue import catalogue
from svd_lab.training.measure import cpu_cost, evaluate, oracle_encoder, report, significance, unseen_pictures
from svd_lab.training.measure.evaluate_options import UNSEEN
from svd_lab.world.clips import FRAMES
from svd_lab.world.measures import bucket_response, energy, grow, measure, psnr, spearman, summary, thing_pixels
from svd_lab.world.scenes import World

pytestmark = pytest.mark.slow  # networks, worlds of a gigabyte, processes: the workshop's tests are the slow layer's

ROCKET = next(i for i, t in enumerate(catalogue()) if t["code"] == "1f680")
BALLOON = next(i for i, t in enumerate(catalogue()) if t["code"] == "1f388")


@pytest.fixture(scope="module")
def truth():
    """Four clips of rockets and balloons on various backgrounds that can be compared at the end."""
    things = [ROCKET, BALLOON] * 4
    clips = World(seed=4).clips(8, bucket=127, fps=7, two=0, nothing=0, only=things)
    pixels = thing_pixels(clips.video, clips).sum((-1, -2))
    good = (pixels[:, [0, -1]] > 900).all(1)  # inside the picture, and of another colour than the background
    assert good.sum() >= 4
    return clips[good][:4]


def halved(clips):
    """The same clips at 112 x 64 pixels."""
    small = {
        name: torch.nn.functional.avg_pool2d(getattr(clips, name).flatten(0, -4), 2).unflatten(
            0, getattr(clips, name).shape[:-3]
        )
        for name in ("video", "alpha", "background")
    }
    return dataclasses.replace(clips, height=clips.height / 2, **small)


def test_truth_scores_perfectly(truth):
    s = summary(measure(truth, truth.video))
    assert s["first"] == s["whole"] == s["moving"] == 100
    assert s["iou"] == s["iou_share"] == s["area"] == s["kept"] == 1
    assert s["length"] == pytest.approx(1)
    assert s["cosine"] == pytest.approx(1)
    assert s["background_std"] < 1e-3
    assert s["compared"] == s["moved"] == len(truth)
    assert s["moving_gain"] > 50


def test_a_static_copy_scores_nothing(truth):
    s = summary(measure(truth, truth.video[:, :1].expand_as(truth.video)))
    assert s["first"] == 100
    assert s["iou_share"] == s["moving_gain"] == s["length"] == s["cosine"] == s["background_std"] == 0
    assert 0 < s["iou"] == s["iou_copy"] < 0.9
    assert s["moving"] == s["moving_copy"] < 30


def test_half_the_way_scores_in_between_the_wrong_way_has_cosine_minus_1(truth):
    half = truth.video[:, [t // 2 for t in range(FRAMES)]]
    s = summary(measure(truth, half))
    assert 0.1 < s["iou_share"] < 0.9
    assert 0.35 < s["length"] < 0.65
    assert s["cosine"] > 0.95
    assert 0 < s["moving_gain"] < 50
    s = summary(measure(truth, truth.video.flip(1)))  # from the end to the start
    assert s["cosine"] == pytest.approx(-1, abs=1e-3)
    assert [s["length"], s["area"]] == pytest.approx([1, 1], abs=0.2)
    assert s["iou_share"] == pytest.approx(0, abs=1e-6)
    assert abs(s["moving_gain"]) < 2
    assert s["kept"] == 1, "the wrong way, but complete"


@pytest.mark.parametrize("far", [False, True])
def test_a_doubled_thing_shows_in_the_area_wherever_the_second_is(truth, far):
    video = truth.video.clone()
    for i in range(len(truth)):
        mask = (truth.alpha[i, -1] > 0.5)[None]
        x = int(mask[0].any(0).nonzero().float().mean())
        step = 112 if far else int(truth.height[i]) * (-1 if x > 112 else 1)  # across the edge, or just beside
        ghost = torch.roll(mask, step, -1) & ~mask
        video[i, -1] = torch.where(ghost, 1 - truth.background[i].round(), video[i, -1])
    rows = measure(truth, video)
    assert all(row["area"] > 1.5 for row in rows)
    assert summary(rows)["area"] > report.ROWS[[r.key for r in report.ROWS].index("area")].floor[1]


def test_a_vanished_thing_is_not_kept_and_has_no_displacement(truth):
    fade = torch.linspace(0, 1, FRAMES)[None, :, None, None, None]
    s = summary(measure(truth, truth.video * (1 - fade) + truth.background[:, None] * fade))
    assert s["area"] == s["kept"] == s["iou"] == s["length"] == s["cosine"] == 0
    assert s["iou_share"] < 0


def test_a_wrong_background_far_from_the_thing_does_not_count_as_one(truth):
    video = truth.video.clone()
    for i in range(len(truth)):
        far = ~grow(truth.alpha[i].amax(0) > 0.01, int(truth.height[i] / 2) + 1)
        far[:, 12:] = False
        video[i] = torch.where(far, 1 - truth.background[i].round(), video[i])
    assert ((video - truth.video).abs() > 0.4).any()
    s = summary(measure(truth, video))
    assert s["iou"] == s["area"] == 1
    assert s["whole"] < 100


def test_flicker_of_the_background_has_its_own_figure(truth):
    sign = torch.tensor([1.0, -1.0] * (FRAMES // 2))[None, :, None, None, None]
    clear = truth.video.clamp(0.1, 0.9)
    s = summary(measure(truth, clear + sign * 2 / 255))
    assert s["background_std"] == pytest.approx(2 * math.sqrt(FRAMES / (FRAMES - 1)), abs=0.02)


def test_what_cannot_be_compared_is_left_out_and_counted(truth):
    gone = truth[:2]
    gone = dataclasses.replace(gone, video=gone.video.clone(), alpha=gone.alpha.clone())
    gone.video[0, -1], gone.alpha[0, -1] = gone.background[0], 0
    rows = measure(gone, gone.video)
    assert math.isnan(rows[0]["iou"])
    assert math.isnan(rows[0]["cosine"])
    assert rows[1]["iou"] == 1
    s = summary(rows)
    assert (s["compared"], s["iou"], s["kept"]) == (1, 1, 1)
    assert json.loads(json.dumps(evaluate.plain(rows)))[0]["iou"] is None


def test_measure_refuses_another_length_and_a_moving_camera(truth):
    with pytest.raises(ValueError, match="truth's shape"):
        measure(truth, truth.video[:, :10])
    with pytest.raises(ValueError, match="camera"):
        measure(dataclasses.replace(truth, camera=torch.ones(len(truth), dtype=torch.bool)), truth.video)


def test_numbers_of_the_small_measures():
    assert psnr(0.01) == pytest.approx(20)
    assert psnr(0) == 100
    assert math.isnan(psnr(math.nan))
    assert spearman([1, 2, 3, 4], [1, 4, 9, 16]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    assert spearman([1, 2, 3, 4, 5], [2, 1, 4, 3, 5]) == pytest.approx(0.8)  # 1 - 6 * 4 / (5 * 24)
    assert spearman([1, 2, 3], [5, 5, 5]) == 0
    ramp = torch.arange(3.0)[None, :, None, None, None].expand(1, 3, 3, 4, 4) / 255
    assert energy(ramp) == pytest.approx([1])
    response = bucket_response({20: [1, 1], 240: [3, 3], 127: [2, 4]})
    assert response["spearman"] == pytest.approx(0.75)
    assert response["grows"] == 0.5
    assert response["energy"] == {20: 1, 127: 3, 240: 3}


def test_the_motion_buckets_are_those_of_the_table():
    assert evaluate.BUCKETS == (20, 60, 127, 190, 240)


def test_scenes_are_moving_things_and_the_same_for_the_same_seed():
    a, b, c = evaluate.scenes("held_out", 3, 1), evaluate.scenes("held_out", 3, 1), evaluate.scenes("held_out", 3, 2)
    assert torch.equal(a.video, b.video)
    assert not torch.equal(a.video, c.video)
    assert not a.camera.any()
    assert (a.kind[:, 1] == -1).all()
    assert all(catalogue()[i]["held_out"] for i in a.thing[:, 0].tolist())
    assert (a.bucket == 127).all()
    assert (a.fps == 7).all()
    other = evaluate.scenes("held_out", 3, 1, bucket=20)
    assert torch.equal(a.background, other.background)
    assert torch.equal(a.thing, other.thing)


def test_videos_equal_those_of_the_plain_pipeline_in_any_batch(tiny_folder):
    pipe = evaluate.load(tiny_folder, "cpu")
    pictures = [Image.effect_noise((96, 64), s).convert("RGB") for s in (40, 90)]
    settings = dict(steps=2, bucket=200, guidance=(1.0, 2.0))
    whole, pairs = evaluate.make(pipe, pictures, 3, chunks=(FRAMES, 2), batch=2, **settings)
    (alone,) = evaluate.make(pipe, pictures, 3, batch=1, **settings)
    assert whole.shape == (2, FRAMES, 3, 64, 96)
    assert (whole - alone).abs().max() < 1e-4
    assert (whole - pairs).abs().max() > 1e-4, "another decode_chunk_size gives another result"
    call = dict(height=64, width=96, num_frames=FRAMES, num_inference_steps=2, fps=7, motion_bucket_id=200)
    guidance = dict(min_guidance_scale=1.0, max_guidance_scale=2.0)
    for chunk, ours in ((FRAMES, alone), (2, pairs)):
        generator = torch.Generator().manual_seed(300_001)
        theirs = pipe(
            pictures[1], decode_chunk_size=chunk, generator=generator, output_type="np", **call, **guidance
        ).frames[0]
        assert np.abs(theirs.transpose(0, 3, 1, 2) - ours[1].numpy()).max() < 1e-4


def test_one_command_measures_a_model_and_writes_json_sheets_and_page(tiny_folder, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.effect_noise((300, 200), 60).convert("RGB").save(folder / "noise.png")
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text(f"Before\n\n{report.BEGIN}\nold figures\n{report.END}\n\nAfter\n")
    monkeypatch.setattr(evaluate, "BUCKETS", (20, 127))
    monkeypatch.setattr(evaluate, "scenes", lambda *a, real=evaluate.scenes: halved(real(*a)))  # a quarter of the time
    arguments = ["--folder", tiny_folder, "--scenes", 1, "--steps", 1, "--seed", 7, "--quick", "--device", "cpu"]
    arguments += ["--json", tmp_path / "new" / "out.json", "--sheets", tmp_path / "sheets", "--markdown", page]
    arguments += ["--unseen", folder]
    evaluate.main([str(a) for a in arguments])
    result = json.loads((tmp_path / "new" / "out.json").read_text())
    assert set(result) == {"about", "known", "held_out", "unseen"}
    for group in ("known", "held_out"):
        assert result[group]["copy"]["iou_share"] in (0, None)
        assert result[group]["copy"]["first"] == 100
        assert result[group]["model"]["first"] < 40, "random weights"
        assert len(result[group]["clips"]) == 1
    assert set(result["known"]["model"]["bucket_energy"]) == {"20", "127"}
    assert result["unseen"][0]["picture"] == "noise.png"
    sheets = sorted(tmp_path.glob("sheets/*.png"))
    assert [s.name for s in sheets] == ["held_out-0.png", "known-0.png", "unseen-0.png"]
    assert all(0 < s.stat().st_size < 300_000 for s in sheets)
    text = page.read_text()
    assert text.startswith("Before\n")
    assert text.endswith("\nAfter\n")
    assert "old figures" not in text
    first = f"{result['known']['model']['first']:.1f} dB"
    assert f"first frame against the input picture, PSNR | known things | {first}" in text
    assert "≥ 29.0 dB: **missed**" in text
    assert "noise.png" in text
    assert "first frame against the input picture" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--folder", "/no/such/folder"], "no such folder"),
        (["--folder", "rocket"], "not known"),
        (["--scenes", "0"], "--scenes must be at least 1, not 0"),
        (["--seed", "-1"], "--seed must not be negative, not -1"),
        (["--buckets", "-1"], "--buckets must not be negative, not -1"),
        (["--unseen", "/no/such/folder"], UNSEEN),
        (["--device", "gpu"], "'cuda', 'mps' or 'cpu'"),
    ],
)
def test_wrong_arguments_are_refused_in_plain_words(arguments, words, capsys, monkeypatch):
    monkeypatch.setattr(evaluate, "scenes", lambda *_: pytest.fail("worked before refusing"))
    with pytest.raises(SystemExit) as stop:
        evaluate.main(arguments)
    assert stop.value.code != 0
    assert words in f"{stop.value.code} {capsys.readouterr().err}"


def test_floors_and_goals_are_judged_at_their_edges():
    assert report.verdict(31.0, (31, None), "{:.0f}") == "≥ 31: OK"
    assert report.verdict(30.99, (31, None), "{:.0f}") == "≥ 31: **missed**"
    assert report.verdict(1.5, (None, 1.5), "{:.1f}") == "≤ 1.5: OK"
    assert report.verdict(1.21, (0.8, 1.2), "{:.1f}") == "0.8 – 1.2: **missed**"
    assert report.verdict(None, (31, None), "{:.0f}").endswith("**missed**"), "a figure without a value is missed"
    for row in report.ROWS:
        if row.floor:
            for low_or_high in (0, 1):
                floor, goal = row.floor[low_or_high], row.goal[low_or_high]
                assert (floor is None) == (goal is None)
                assert floor is None or (goal > floor) == (low_or_high == 0), (
                    f"{row.text}: a goal is harder than its floor"
                )


def test_report_joins_several_results_and_creates_a_missing_page(truth, tmp_path, monkeypatch):
    clips = measure(truth, truth.video)
    figures = summary(clips) | dict(vae_all=40.0, vae_thing=20.0)
    group = dict(model=figures, clips=clips, background_std_chunk2=0.3)
    (tmp_path / "a.json").write_text(json.dumps(dict(known=evaluate.plain(group))))
    (tmp_path / "b.json").write_text(
        json.dumps(dict(cost=dict(threads=2, load=1, first=9, warm=8, rss=1.2, conv=[50, 60])))
    )
    page = tmp_path / "page.md"
    monkeypatch.setattr(
        sys, "argv", ["report", str(tmp_path / "a.json"), str(tmp_path / "b.json"), "--markdown", str(page)]
    )
    report.main()
    first = page.read_text()
    assert "| 40.0 dB | ≥ 31.0 dB: OK | ≥ 33.0 dB: OK |" in first
    assert "| 20.0 dB | ≥ 24.0 dB: **missed** |" in first
    assert "| 8.0 s | ≤ 15.0 s: OK | ≤ 10.0 s: OK |" in first
    assert "| 1.20 GiB | ≤ 1.50 GiB: OK | ≤ 1.00 GiB: **missed** |" in first
    report.main()
    assert page.read_text() == first, "filling twice changes nothing"


def clips_of(first, cosine=None, thing="car"):
    """Rows of `evaluate --json` with these PSNRs of the first frame, otherwise equal."""
    rest = dict(
        thing=thing, kind="drive", travel=0.5, whole=30, moving=20, moving_copy=13, background_std=1, iou=0.7, iou_copy=0.2,
        area=1, length=10, length_true=10, cosine=cosine,
    )  # fmt: skip
    return [rest | dict(first=value) for value in first]


def test_a_standard_error_is_that_over_other_choices_of_scenes():
    first = torch.randn(64, generator=torch.Generator().manual_seed(3)).mul(2).add(35)
    errors = significance.standard_errors(clips_of(first.tolist()))
    assert errors["first"] == pytest.approx(first.std().item() / 8, rel=0.15), "as for any mean"
    assert errors["iou_share"] == errors["kept"] == 0 and errors["cosine"] is None, "the same in all clips; in none"
    assert errors == significance.standard_errors(clips_of(first.tolist())), (
        "a page that is filled again stays the same"
    )
    assert significance.standard_errors(clips_of([35.0])) == {}, "one scene has no standard error"


def test_two_results_of_the_same_scenes_are_compared_in_pairs(tmp_path, monkeypatch, capsys):
    """Half a decibel more in every scene is certain, although the scenes differ by four decibels."""
    noise = torch.randn(2, 40, generator=torch.Generator().manual_seed(4)).mul(4).add(35)
    old, better = (clips_of((noise[0] + more).tolist()) for more in (0, 0.5))
    value, error = significance.differences(old, better)["first"]
    assert value == pytest.approx(0.5) and error < 1e-3
    other = clips_of(noise[1].tolist())
    value, error = significance.differences(old, other)["first"]
    assert error == pytest.approx(4 * (2 / 40) ** 0.5, rel=0.3) and abs(value) < 3 * error
    for name, clips in dict(old=old, better=better, boats=clips_of(noise[0].tolist(), thing="boat")).items():
        result = dict(known=dict(model=summary(significance.rows_of(clips)), clips=clips))
        (tmp_path / f"{name}.json").write_text(json.dumps(evaluate.plain(result)))
    path = lambda name: str(tmp_path / f"{name}.json")  # noqa: E731
    monkeypatch.setattr(sys, "argv", ["report", path("better"), "--against", path("old")])
    report.main()
    text = capsys.readouterr().out
    assert "| **+0.500 ± 0.000** |" in text and "IoU of the thing" in text and "cosine" not in text, "no clip has one"
    monkeypatch.setattr(sys, "argv", ["report", path("boats"), "--against", path("old")])
    with pytest.raises(SystemExit, match=r"old.json and .*boats.json: .* the same --scenes and --seed"):
        report.main()


def test_what_a_thing_uncovers_is_taken_from_truth_and_nothing_else(truth):
    """A static copy keeps its thing where it was: filled, that place is right; the true place of the thing stays wrong."""
    copy = truth.video[:, :1].expand_as(truth.video)
    there = truth.alpha > 0.01
    uncovered = there.cummax(1).values & ~grow(there, oracle_encoder.CELL)
    assert uncovered[:, -1].any((1, 2)).all()
    video = oracle_encoder.fill_uncovered(copy, truth)
    where = uncovered[:, :, None].expand_as(copy)
    assert torch.equal(video[where], truth.video[where]) and not torch.equal(copy[where], truth.video[where])
    where = there[:, :, None].expand_as(copy)
    assert torch.equal(video[where], copy[where])
    assert torch.equal(oracle_encoder.fill_uncovered(truth.video, truth), truth.video)


def test_the_oracle_gives_every_scene_its_embedding_and_is_then_removed(monkeypatch):
    """The one of its kind of motion and way to face, also in batches; the measured videos are those made with it."""
    given, kinds = [], torch.randn(21, 3, 64)

    def make(pipe, pictures, seed, batch):
        encoder = pipe.image_encoder
        if isinstance(encoder, oracle_encoder.OracleEncoder):
            given.append(torch.cat([encoder(torch.zeros(k, 3, 2, 2)).image_embeds for k in (2, 1)]))
        clips = evaluate.scenes("known", 3, seed)
        return [clips.video if given else clips.video[:, :1].expand_as(clips.video)]

    own = SimpleNamespace()
    pipe = SimpleNamespace(device=torch.device("cpu"), image_encoder=own)
    pipe.register_modules = lambda image_encoder: setattr(pipe, "image_encoder", image_encoder)
    monkeypatch.setattr(oracle_encoder, "load", lambda folder, device: pipe)
    monkeypatch.setattr(oracle_encoder, "load_parts", lambda path: dict(clip=None))
    monkeypatch.setattr(oracle_encoder, "clip_of", lambda _: torch.nn.Identity())
    monkeypatch.setattr(oracle_encoder.TargetEmbeddings, "measured", lambda *_: SimpleNamespace(kind=kinds))
    monkeypatch.setattr(oracle_encoder, "make", make)
    result = oracle_encoder.compare_encoders("mini", "teacher.pt", 3, 5, ["known"])["known"]
    truth = evaluate.scenes("known", 3, 5)
    assert torch.equal(given[0], kinds[truth.kind[:, 0], truth.facing + 1])
    assert result["oracle"]["iou_share"] == pytest.approx(1) and result["own"]["iou_share"] == pytest.approx(0)
    assert result["own filled"]["moving_gain"] > 0 and pipe.image_encoder is own


def test_cost_is_measured_in_a_process_of_its_own(tiny_folder):
    hoard = torch.ones(3 * 2**26)  # 0.75 GiB here must not count there
    figures = cpu_cost.in_own_process(tiny_folder, threads=1, calls=2)
    assert hoard.sum() > 0
    assert figures["threads"] == 1
    assert 0 < figures["warm"] < 60
    assert 0 < figures["first"] < 60
    assert 0.2 < figures["rss"] < min(1.5, cpu_cost.peak_rss() - 0.2)
    assert len(figures["conv"]) == 2
    assert min(figures["conv"]) > 0.1
    with pytest.raises(FileNotFoundError, match="no such folder"):
        cpu_cost.in_own_process("/no/such/folder")


def test_docs_measures_has_the_marks_that_the_report_fills():
    text = (report.Path(__file__).parents[2] / "docs" / "measures.md").read_text(encoding="utf-8")
    assert len(re.findall(f"{report.BEGIN}.*?{report.END}", text, re.DOTALL)) == 1


def test_unseen_pictures_say_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="fonts-noto-color-emoji"):
        unseen_pictures.draw_emoji("🚀", 60, tmp_path / "no.ttf")
    done = subprocess.run(
        [sys.executable, "-m", UNSEEN, str(tmp_path / "out"), "--font", str(tmp_path / "no.ttf")],
        capture_output=True, text=True, cwd=report.Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_unseen_pictures_are_photographs_and_emoji_of_another_designer(tmp_path):
    pytest.importorskip("skimage", reason="the photographs are part of scikit-image")
    if not unseen_pictures.NOTO.is_file():
        pytest.skip("needs Debian's fonts-noto-color-emoji")
    paths = unseen_pictures.make_folder(tmp_path / "out")
    assert len(paths) == len(unseen_pictures.PHOTOGRAPHS) + len(unseen_pictures.EMOJI)
    for path in paths:
        with Image.open(path) as picture:
            assert picture.mode == "RGB"
            assert np.asarray(picture).std() > 5
    rocket = unseen_pictures.draw_emoji("🚀", 60)
    assert rocket.height == 60
    pixels = np.asarray(rocket)
    assert len(np.unique(pixels[pixels[..., 3] > 200][:, :3], axis=0)) > 20, "in colour, not an outline"
