"""Turbo: the file holds what was trained and fits its budget, and the training follows the pipeline and learns."""

import copy

import pytest
import torch

from svd_lab.bundled import mini_folder, text_mini_folder
from svd_lab.models import turbo
from svd_lab.training.loop.muon import Optimiser
from svd_lab.training.loop.sampling import levels, rollout
from svd_lab.training.measure import compare_turbo
from svd_lab.training.networks.fused_blocks import rewrite
from svd_lab.training.networks.video import make_unet
from svd_lab.training.stages import turbo as training


@pytest.fixture(scope="module")
def unet(tiny_folder):
    from diffusers import UNetSpatioTemporalConditionModel

    return UNetSpatioTemporalConditionModel.from_pretrained(tiny_folder, subfolder="unet")


def trained(unet, rank, size=0.02):
    """A difference as training might leave it: nothing zero."""
    flat = turbo.nothing(turbo.slots(unet, rank))
    return flat + size * torch.randn(len(flat), generator=torch.Generator().manual_seed(1))


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_a_file_gives_base_plus_difference_to_the_bit(unet, tmp_path):
    """Of every parameter: float64 sum of the stored weight and B^T A from the int8 numbers, rounded once."""
    flat, merged = trained(unet, 3), copy.deepcopy(unet)
    turbo.save(tmp_path / "t.safetensors", flat, unet, 3, 0.3)
    about = turbo.merge(merged, tmp_path / "t.safetensors")
    assert about["sigma_min"] == "0.3" and about["rank"] == "3"
    where, at = turbo.slots(unet, 3), 0
    numbers, scales = turbo.quantised(flat, where)
    exact = numbers.double() * scales.double().repeat_interleave(torch.tensor([n for s in where for n in s.rows]))
    assert (
        (exact - flat).abs() <= scales.repeat_interleave(torch.tensor([n for s in where for n in s.rows])) * 0.5001
    ).all()
    was, now = dict(unet.named_parameters()), dict(merged.named_parameters())
    for slot in where:
        part = exact[at : at + sum(slot.rows)]
        at += len(part)
        if slot.rank:
            inner = part.numel() // slot.rank - slot.shape[0]
            a, b = part[: slot.rank * inner].view(slot.rank, inner), part[slot.rank * inner :].view(slot.rank, -1)
            part = b.T @ a
        expected = (was[slot.name].double() + part.view(slot.shape)).float()
        assert torch.equal(now[slot.name], expected) and not torch.equal(now[slot.name], was[slot.name]), slot.name
    idle = set(was) - {slot.name for slot in where}
    assert idle and all(torch.equal(now[name], was[name]) for name in idle)


def test_parameters_without_a_difference_change_no_output(unet):
    """slots() leaves out only what cannot matter: queries, keys and norm of attention to one token."""
    other = copy.deepcopy(unet)
    named = {slot.name for slot in turbo.slots(unet, 2)}
    for name, p in other.named_parameters():
        if name not in named:
            p.data.add_(torch.randn_like(p))
    inputs = torch.randn(1, 2, 8, 16, 16), torch.tensor([0.5]), torch.randn(1, 1, 32), torch.tensor([[6.0, 127, 0.02]])
    with torch.no_grad():
        assert torch.allclose(unet(*inputs).sample, other(*inputs).sample, atol=1e-5)


def test_no_difference_leaves_every_weight_as_it_was(unet, tmp_path):
    merged = copy.deepcopy(unet)
    turbo.save(tmp_path / "t", turbo.nothing(turbo.slots(unet, 2)), unet, 2, 0.3)
    turbo.merge(merged, tmp_path / "t")
    assert same(merged, unet)


def test_the_file_of_the_mini_fits_beside_all_bundled_models(tmp_path):
    mini, file = make_unet(), tmp_path / "turbo.safetensors"
    rank = training.SETTINGS["rank"]
    size = turbo.save(file, trained(mini, rank), mini, rank, 0.3)
    assert 500_000 < size == file.stat().st_size <= turbo.BUDGET
    files = [p for folder in (mini_folder(), text_mini_folder()) for p in folder.rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files if "turbo" not in p.name) + turbo.BUDGET < 60e6
    before = file.read_bytes()
    with pytest.raises(ValueError, match="rank 8 .* take a lower rank"):
        turbo.save(file, trained(mini, 8), mini, 8, 0.3)
    assert file.read_bytes() == before


def test_what_is_no_turbo_file_for_this_unet_is_refused_and_changes_nothing(unet, tmp_path):
    from safetensors.torch import load_file, save_file

    good, merged = tmp_path / "good", copy.deepcopy(unet)
    turbo.save(good, trained(unet, 2), unet, 2, 0.3)
    with pytest.raises(FileNotFoundError, match="svd_lab.training.stages.turbo makes one"):
        turbo.merge(merged, tmp_path / "none")
    (tmp_path / "text").write_text("hello")
    (tmp_path / "half").write_bytes(good.read_bytes()[:5000])
    for broken in ("text", "half"):
        with pytest.raises(ValueError, match="broken one"):
            turbo.merge(merged, tmp_path / broken)
    save_file({"x": torch.zeros(3)}, tmp_path / "else")
    with pytest.raises(ValueError, match="no turbo file: its format is None"):
        turbo.merge(merged, tmp_path / "else")
    about = dict(format=turbo.FORMAT, rank="3", sigma_min="0.3", unet=turbo.fingerprint(unet))
    save_file(load_file(good), tmp_path / "rank", metadata=about)
    with pytest.raises(ValueError, match="too many or too few"):
        turbo.merge(merged, tmp_path / "rank")
    assert same(merged, unet)
    merged.conv_in.bias.data[0] += 1
    with pytest.raises(ValueError, match="other weights"):
        turbo.merge(merged, good)
    with pytest.raises(ValueError, match="not finite"):
        turbo.save(tmp_path / "nan", trained(unet, 2) * float("nan"), unet, 2, 0.3)
    with pytest.raises(ValueError, match="at least 1"):
        turbo.slots(unet, 0)


def test_the_genuine_pipeline_takes_the_parts(unet, tiny_folder, tmp_path, picture_file):
    from diffusers import StableVideoDiffusionPipeline
    from PIL import Image

    file, merged = tmp_path / "t", copy.deepcopy(unet)
    turbo.save(file, trained(unet, 2), unet, 2, 0.5)
    turbo.merge(merged, file)
    pipe = StableVideoDiffusionPipeline.from_pretrained(tiny_folder, **turbo.parts(tiny_folder, file))
    assert same(pipe.unet, merged)
    pipe.set_progress_bar_config(disable=True)
    steps = []
    frames = pipe(
        Image.open(picture_file), height=64, width=96, num_frames=2, num_inference_steps=4, max_guidance_scale=1.0,
        callback_on_step_end=lambda p, i, t, k: steps.append(float(p.scheduler.sigmas[i])) or k,
    ).frames[0]  # fmt: skip
    assert len(frames) == 2 and len(steps) == 4 and steps[-1] == pytest.approx(0.5)
    half = turbo.parts(tiny_folder, file, torch.float16)["unet"]
    assert same(half, merged.half())


def test_mini_turbo_is_the_bundled_mini_with_its_file(tmp_path):
    """By name, and what the file makes of the very weights that are shipped; four steps are four calls without guidance."""
    from svd_lab import generate_video, load_video_pipeline
    from svd_lab.bundled import PICTURES

    pipe, plain = load_video_pipeline("mini-turbo", device="cpu"), load_video_pipeline("mini", device="cpu")
    parts = turbo.parts(mini_folder(), turbo.FILE)
    assert pipe.scheduler.config.sigma_min == parts["scheduler"].config.sigma_min != plain.scheduler.config.sigma_min
    assert same(pipe.unet, parts["unet"]) and not same(pipe.unet, plain.unet)
    assert all(same(getattr(pipe, part), getattr(plain, part)) for part in ("vae", "image_encoder"))
    batches = []
    hook = pipe.unet.register_forward_pre_hook(lambda m, a: batches.append(len(a[0])))
    try:
        clip = generate_video(PICTURES["rocket"], tmp_path / "t.mp4", 1, pipe=pipe, num_frames=4, **turbo.SETTINGS)
    finally:
        hook.remove()
    assert clip.recipe["model"] == "mini-turbo" and batches == [1] * turbo.STEPS


def test_a_folder_of_that_name_is_taken_as_it_is(unet, tiny_folder, tmp_path, monkeypatch):
    from svd_lab import load_video_pipeline

    (tmp_path / "mini-turbo").symlink_to(tiny_folder)
    monkeypatch.setenv("SVD_LAB_MODELS", str(tmp_path))
    assert same(load_video_pipeline("mini-turbo", device="cpu", speed="off").unet, unet)


def test_a_turbo_file_that_is_not_whole_is_found_before_anything_loads(tmp_path, monkeypatch):
    from svd_lab import load_video_pipeline
    from svd_lab.commands.check import check_weights

    broken = tmp_path / "turbo.safetensors"
    monkeypatch.setattr(turbo, "FILE", broken)
    with pytest.raises(FileNotFoundError, match="turbo.safetensors is missing. Install svd-lab again"):
        load_video_pipeline("mini-turbo", device="cpu")
    broken.write_bytes(turbo_bytes := b"cut" * 9)
    with pytest.raises(OSError, match="turbo.safetensors is cut off"):
        load_video_pipeline("mini-turbo", device="cpu")
    status, words, data = check_weights()
    assert status == "warn" and f"is cut off ({len(turbo_bytes)} bytes)" in words
    assert data["mini"]["whole"] and not data["mini-turbo"]["whole"]


@pytest.mark.parametrize("guidance", [None, (1.0, 3.0)])
def test_a_rollout_makes_the_latents_of_the_pipeline(tiny_pipe, picture_file, guidance):
    from PIL import Image

    seen = {}
    hook = tiny_pipe.unet.register_forward_pre_hook(
        lambda m, a, k: seen.setdefault("first", (a, k)) and None, with_kwargs=True
    )
    noise = torch.randn(1, 3, 4, 16, 24, generator=torch.Generator().manual_seed(0))
    low, high = guidance or (1.0, 1.0)
    try:
        latents = tiny_pipe(
            Image.open(picture_file), height=64, width=96, num_frames=3, num_inference_steps=4, latents=noise,
            min_guidance_scale=low, max_guidance_scale=high, output_type="latent",
            generator=torch.Generator().manual_seed(0),
        ).frames  # fmt: skip
    finally:
        hook.remove()
    (inputs, _), given = seen["first"]
    with torch.no_grad():
        ours = rollout(
            tiny_pipe.unet, noise, inputs[-1:, 0, 4:], given["encoder_hidden_states"][-1:, 0], given["added_time_ids"][-1:],
            tiny_pipe.scheduler.sigmas.tolist(), guidance,
        )  # fmt: skip
    assert len(ours) == 4
    assert (ours[-1] - latents).norm() < 1e-4 * latents.norm()


def test_three_steps_bring_one_batch_nearer_to_the_teacher(unet):
    """Gradients reach A, B and the vectors through all four steps; the UNet's own weights stay as they are."""
    torch.manual_seed(0)
    mine = rewrite(copy.deepcopy(unet)).eval().requires_grad_(False)
    student = training.Student(mine, {n: p.detach().clone() for n, p in mine.named_parameters()}, 2)
    flat = torch.nn.Parameter(turbo.nothing(student.slots))
    optimiser = Optimiser([("difference", flat)], adam=2e-3)
    noise, cond = torch.randn(2, 3, 4, 8, 12), torch.randn(2, 4, 8, 12)
    rest = torch.randn(2, 32), torch.tensor([[6.0, 127, 0.02]]).repeat(2, 1)
    with torch.no_grad():
        target = rollout(mine, noise, cond, *rest, levels(10), (1.0, 3.0))[-1]
    batch = (noise, cond, *rest, torch.ones(2, 1, 1, 8, 12), target, target)
    course = []
    for _ in range(4):
        student.use(flat)
        near, _, way = training.losses(student, levels(4, 0.3), 3.0, *batch)
        (near + 0.1 * way).mean().backward()
        course.append(near.mean().item())
        optimiser.step(1.0)
    assert course == sorted(course, reverse=True) and course[-1] < 0.97 * course[0], course
    assert same(mine, unet)
    changed = (flat - turbo.nothing(student.slots)).detach()
    for name, part in zip(
        (s.name for s in student.slots), changed.split([sum(s.rows) for s in student.slots]), strict=True
    ):
        assert part.abs().max() > 0, f"nothing was learnt for {name}"


def test_a_stretch_on_a_cpu_writes_a_file_for_the_shipped_mini_and_the_next_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(training, "FRAMES", 2)
    monkeypatch.setattr(training, "FEWER", 1)
    common = ["--small", "--out", str(tmp_path), "--state", str(tmp_path / "state"), "--weights", str(mini_folder())]
    about = training.train(training.parse([*common, "--steps", "1"]))
    assert about["steps"] == 1 and about["bytes"] <= turbo.BUDGET and about["sigmas"][-2] == pytest.approx(0.3)
    assert all(0 < v < 10 for v in about["unseen"].values())
    out = capsys.readouterr().out
    assert "turbo 1 t" in out and "nan" not in out
    training.train(training.parse([*common, "--steps", "1", "--resume", str(tmp_path / "state")]))
    assert "turbo 2 t" in capsys.readouterr().out, "a stretch goes on where the last one stopped"
    assert turbo.parts(mini_folder(), tmp_path / "turbo.safetensors")["scheduler"].config.sigma_min == 0.3


def test_a_stretch_goes_on_from_a_file_alone_and_another_encoder_may_answer(unet, tmp_path, monkeypatch, capsys):
    """A step at rate 0 writes the file anew, with its rank and noise level; where all is doubted the doubter is asked."""
    from svd_lab.training.networks.video import make_clip

    monkeypatch.setattr(training, "FRAMES", 2)
    monkeypatch.setattr(training, "FEWER", 1)
    begun, doubter, asked = tmp_path / "begun.safetensors", make_clip(), []
    weights = type(unet).from_pretrained(mini_folder(), subfolder="unet", dtype=torch.float32)
    turbo.save(begun, trained(weights, 2, 1e-3), weights, 2, 0.5)
    torch.save(dict(clip=doubter.state_dict()), tmp_path / "doubter.pt")
    monkeypatch.setattr(training, "doubts", lambda who, *rest: asked.append((who, rest[-1])) or rest[1])
    common = ["--small", "--out", str(tmp_path), "--state", str(tmp_path / "state"), "--weights", str(mini_folder())]
    doubt = ["--doubt", "1", "--doubter", str(tmp_path / "doubter.pt")]
    training.train(training.parse([*common, "--file", str(begun), *doubt, "--steps", "1", "--rate", "0"]))
    assert "turbo rank 2" in capsys.readouterr().out
    about, flat = turbo.read(weights, tmp_path / "turbo.safetensors")
    assert about["sigma_min"] == "0.5" and torch.allclose(flat, turbo.read(weights, begun)[1], atol=1e-6)
    assert asked and all(who is not None and doubted.all() for who, doubted in asked)
    for wrong, says in (
        (["--file", str(begun), "--resume", str(tmp_path / "state")], "give one of them"),
        (["--doubt", "0.3"], "--doubt 0.3 and --doubter '' belong together"),
    ):
        with pytest.raises(SystemExit, match=says):
            training.train(training.parse([*common, *wrong]))


def test_held_means_at_most_five_percent_worse():
    assert compare_turbo.acceptable("first", 36.0, 37.0) and not compare_turbo.acceptable("first", 35.0, 37.0)
    assert compare_turbo.acceptable("first", 50.0, 37.0), "better is held"
    assert compare_turbo.acceptable("background_std", 0.3, 1.0) and not compare_turbo.acceptable("background_std", 1.06, 1.0)
    assert compare_turbo.acceptable("length", 1.04, 1.0) and not compare_turbo.acceptable("length", 1.06, 1.0)
    assert compare_turbo.acceptable("area", 1.0, 0.9) and not compare_turbo.acceptable("area", 1.2, 0.9), "nearer to 1 is better"
    assert not compare_turbo.acceptable("cosine", float("nan"), 0.9)
    result = {"known": {"10 steps": dict(first=37.0, area=1.0), "turbo": dict(first=36.9, area=0.9)}}
    lines = compare_turbo.table(result).splitlines()
    assert lines[2] == "| first | 37.000 | 36.900 |" and lines[3] == "| area | 1.000 | **0.900** |"


def test_what_is_surely_different_is_bold_and_what_scatters_is_not():
    """Two models on the same four scenes: one measure always 1 dB worse, one that is better here and worse there."""
    from svd_lab.training.measure.evaluate import scenes
    from svd_lab.world.measures import measure

    truth = scenes("known", 4, 3)
    old = [row | dict(detail=0.8) for row in measure(truth, truth.video)]
    new = [
        row | dict(first=row["first"] - 1, detail=0.8 + d) for row, d in zip(old, (0.1, -0.1, 0.1, -0.1), strict=True)
    ]
    ways = {"10 steps": dict(clips=old), "turbo": dict(clips=new)}
    for way in ways.values():
        way |= compare_turbo.summary(way["clips"])
    lines = compare_turbo.significance_table({"known": ways}).splitlines()
    assert lines[0] == "| known | turbo - 10 steps | |"
    assert lines[2].startswith("| first | **-1.000 ± 0.000** | -")
    assert any(line.startswith("| detail | ") and "**" not in line for line in lines)


def test_detail_is_one_for_truth_and_less_when_blurred():
    from svd_lab.training.measure.evaluate import scenes

    truth = scenes("known", 2, 3)
    assert compare_turbo.detail(truth.video, truth).tolist() == pytest.approx([1, 1])
    blurred = torch.nn.functional.avg_pool2d(truth.video.flatten(0, 1), 7, 1, 3, count_include_pad=False).view_as(
        truth.video
    )
    assert (compare_turbo.detail(blurred, truth) < 0.9).all()
