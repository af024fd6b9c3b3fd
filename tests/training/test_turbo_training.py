"""Training of turbo: it samples as the pipeline does, learns, and goes on; and the comparison with the class's call."""

import copy

import pytest
import torch

from svd_lab.bundled import mini_folder
from svd_lab.models import turbo
from svd_lab.training.loop.muon import Optimiser
from svd_lab.training.loop.sampling import levels, rollout
from svd_lab.training.measure import compare_turbo
from svd_lab.training.networks.fused_blocks import rewrite
from svd_lab.training.networks.video import make_clip
from svd_lab.training.stages import turbo as training
from svd_lab.training.stages.distillation import Student, losses
from svd_lab.training.stages.turbo import TurboOptions
from svd_lab.training.turbo_file import BUDGET, save, zero_delta

pytestmark = pytest.mark.slow  # networks, worlds of a gigabyte, processes: the workshop's tests are the slow layer's


@pytest.fixture(scope="module")
def unet(tiny_folder):
    from diffusers import UNetSpatioTemporalConditionModel

    return UNetSpatioTemporalConditionModel.from_pretrained(tiny_folder, subfolder="unet")


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


def test_three_steps_bring_a_batch_nearer_to_the_teacher(unet):
    """Gradients reach A, B and the vectors through all four steps; the UNet's own weights don't change."""
    torch.manual_seed(0)
    mine = rewrite(copy.deepcopy(unet)).eval().requires_grad_(False)
    student = Student(mine, {n: p.detach().clone() for n, p in mine.named_parameters()}, 2)
    flat = torch.nn.Parameter(zero_delta(student.slots))
    optimiser = Optimiser([("delta", flat)], adam=2e-3)
    noise, cond = torch.randn(2, 3, 4, 8, 12), torch.randn(2, 4, 8, 12)
    rest = torch.randn(2, 32), torch.tensor([[6.0, 127, 0.02]]).repeat(2, 1)
    with torch.no_grad():
        target = rollout(mine, noise, cond, *rest, levels(10), (1.0, 3.0))[-1]
    batch = (noise, cond, *rest, torch.ones(2, 1, 1, 8, 12), target, target)
    distances = []
    for _ in range(4):
        student.use(flat)
        near, _, way = losses(student, levels(4, 0.3), 3.0, *batch)
        (near + 0.1 * way).mean().backward()
        distances.append(near.mean().item())
        optimiser.step(1.0)
    assert distances == sorted(distances, reverse=True) and distances[-1] < 0.97 * distances[0], distances
    assert all(torch.equal(a, b) for a, b in zip(mine.state_dict().values(), unet.state_dict().values(), strict=True))
    changed = (flat - zero_delta(student.slots)).detach()
    for name, part in zip(
        (s.name for s in student.slots), changed.split([sum(s.rows) for s in student.slots]), strict=True
    ):
        assert part.abs().max() > 0, f"{name} has learnt nothing"


@pytest.fixture(params=["four things", pytest.param("all things", marks=pytest.mark.slow)])
def short_clips(request, draw_four_things, monkeypatch):
    """Clips of two frames and of one; of few things, or of the stage's own world, which takes a minute to create."""
    monkeypatch.setattr(training, "FRAMES", 2)
    monkeypatch.setattr(training, "FEWER", 1)
    if request.param == "four things":
        draw_four_things(training, "VariedWorld")


def options(folder, **given):
    """A dry run on the shipped mini."""
    small = dict(
        batch=1, part=1, bank=4, prefill=2, every=10**6, show=10, steps=1, warmup=1, weights=str(mini_folder())
    )
    return TurboOptions(**(small | dict(out=str(folder), state=str(folder / "state")) | given))


def test_a_run_writes_a_file_for_the_mini_and_the_next_goes_on(short_clips, tmp_path, capsys):
    about = training.train(options(tmp_path))
    assert about["steps"] == 1 and about["bytes"] <= BUDGET and about["sigmas"][-2] == pytest.approx(0.3)
    assert all(0 < v < 10 for v in about["unseen"].values())
    out = capsys.readouterr().out
    assert "turbo 1 t" in out and "nan" not in out
    training.train(options(tmp_path, resume=str(tmp_path / "state")))
    assert "turbo 2 t" in capsys.readouterr().out, "a run goes on where the last one stopped"
    assert turbo.parts(mini_folder(), tmp_path / "turbo.safetensors")["scheduler"].config.sigma_min == 0.3


def test_a_run_goes_on_from_a_file_and_a_weaker_encoder_may_embed(
    unet, draw_four_things, tmp_path, monkeypatch, capsys
):
    """A step at rate 0 writes the file again, with its rank and noise level; at share 1 the weaker encoder embeds everything."""
    monkeypatch.setattr(training, "FRAMES", 2)
    monkeypatch.setattr(training, "FEWER", 1)
    draw_four_things(training, "VariedWorld")
    begun, weaker, asked = tmp_path / "begun.safetensors", tmp_path / "weaker.pt", []
    weights = type(unet).from_pretrained(mini_folder(), subfolder="unet", dtype=torch.float32)
    delta = zero_delta(turbo.slots(weights, 2))
    delta += 1e-3 * torch.randn(len(delta), generator=torch.Generator().manual_seed(1))
    save(begun, delta, weights, 2, 0.5)
    torch.save(dict(clip=make_clip().state_dict()), weaker)
    monkeypatch.setattr(training, "mix_embeddings", lambda who, *rest: asked.append((who, rest[-1])) or rest[1])
    training.train(options(tmp_path, file=str(begun), rate=0.0, weaker_share=1.0, weaker_encoder=str(weaker)))
    assert "turbo rank 2" in capsys.readouterr().out
    about, flat = turbo.read(weights, tmp_path / "turbo.safetensors")
    assert about["sigma_min"] == "0.5" and torch.allclose(flat, turbo.read(weights, begun)[1], atol=1e-6)
    assert asked and all(who is not None and chosen.all() for who, chosen in asked)


@pytest.mark.parametrize(
    "settings, words",
    [
        (dict(file="a.safetensors", resume="state"), "give one of them"),
        (dict(weaker_share=0.3), "--weaker-share 0.3 and --weaker-encoder '' belong together"),
    ],
)
def test_options_that_contradict_each_other_are_refused(tmp_path, settings, words):
    with pytest.raises(ValueError, match=words):
        options(tmp_path, **settings)


def test_held_means_at_most_five_percent_worse():
    assert compare_turbo.acceptable("first", 36.0, 37.0) and not compare_turbo.acceptable("first", 35.0, 37.0)
    assert compare_turbo.acceptable("first", 50.0, 37.0), "better is held"
    assert compare_turbo.acceptable("background_std", 0.3, 1.0) and not compare_turbo.acceptable(
        "background_std", 1.06, 1.0
    )
    assert compare_turbo.acceptable("length", 1.04, 1.0) and not compare_turbo.acceptable("length", 1.06, 1.0)
    assert compare_turbo.acceptable("area", 1.0, 0.9) and not compare_turbo.acceptable("area", 1.2, 0.9), (
        "nearer to 1 is better"
    )
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
