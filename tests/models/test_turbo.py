"""Turbo: a file is the trained delta, fits its budget and is refused for other weights."""

import copy

import pytest
import torch

from svd_lab.bundled import mini_folder, text_mini_folder
from svd_lab.models import turbo
from svd_lab.training.networks.video import make_unet
from svd_lab.training.stages.turbo import TurboOptions
from svd_lab.training.turbo_file import BUDGET, quantised, save, zero_delta


@pytest.fixture(scope="module")
def unet(tiny_folder):
    from diffusers import UNetSpatioTemporalConditionModel

    return UNetSpatioTemporalConditionModel.from_pretrained(tiny_folder, subfolder="unet")


def trained(unet, rank, size=0.02):
    """A delta such as training leaves: no number is zero."""
    flat = zero_delta(turbo.slots(unet, rank))
    return flat + size * torch.randn(len(flat), generator=torch.Generator().manual_seed(1))


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_a_file_gives_base_plus_delta_to_the_bit(unet, tmp_path):
    """Every parameter is the float64 sum of the stored weight and B^T A of the int8 numbers, rounded once."""
    flat, merged = trained(unet, 3), copy.deepcopy(unet)
    save(tmp_path / "t.safetensors", flat, unet, 3, 0.3)
    about = turbo.merge(merged, tmp_path / "t.safetensors")
    assert about["sigma_min"] == "0.3" and about["rank"] == "3"
    where, at = turbo.slots(unet, 3), 0
    numbers, scales = quantised(flat, where)
    wide = scales.double().repeat_interleave(torch.tensor([n for s in where for n in s.rows]))
    exact = numbers.double() * wide
    assert ((exact - flat).abs() <= wide * 0.5001).all()
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


def test_parameters_without_a_delta_change_no_output(unet):
    """slots() omits only what has no effect: queries, keys and norm of attention to one token."""
    other = copy.deepcopy(unet)
    named = {slot.name for slot in turbo.slots(unet, 2)}
    for name, p in other.named_parameters():
        if name not in named:
            p.data.add_(torch.randn_like(p))
    inputs = torch.randn(1, 2, 8, 16, 16), torch.tensor([0.5]), torch.randn(1, 1, 32), torch.tensor([[6.0, 127, 0.02]])
    with torch.no_grad():
        assert torch.allclose(unet(*inputs).sample, other(*inputs).sample, atol=1e-5)


def test_a_zero_delta_changes_no_weight(unet, tmp_path):
    merged = copy.deepcopy(unet)
    save(tmp_path / "t", zero_delta(turbo.slots(unet, 2)), unet, 2, 0.3)
    turbo.merge(merged, tmp_path / "t")
    assert same(merged, unet)


def test_the_file_of_the_mini_fits_beside_all_bundled_models(tmp_path):
    mini, file = make_unet(), tmp_path / "turbo.safetensors"
    rank = TurboOptions().rank
    size = save(file, trained(mini, rank), mini, rank, 0.3)
    assert 500_000 < size == file.stat().st_size <= BUDGET
    files = [p for folder in (mini_folder(), text_mini_folder()) for p in folder.rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files if "turbo" not in p.name) + BUDGET < 60e6
    before = file.read_bytes()
    with pytest.raises(ValueError, match="rank 8 .* take a lower rank"):
        save(file, trained(mini, 8), mini, 8, 0.3)
    assert file.read_bytes() == before


def test_a_wrong_turbo_file_is_refused_and_changes_nothing(unet, tmp_path):
    from safetensors.torch import load_file, save_file

    good, merged = tmp_path / "good", copy.deepcopy(unet)
    save(good, trained(unet, 2), unet, 2, 0.3)
    with pytest.raises(FileNotFoundError, match="svd_lab.training.train turbo makes one"):
        turbo.merge(merged, tmp_path / "none")
    (tmp_path / "text").write_text("hello")
    (tmp_path / "half").write_bytes(good.read_bytes()[:5000])
    for broken in ("text", "half"):
        with pytest.raises(ValueError, match="broken one"):
            turbo.merge(merged, tmp_path / broken)
    save_file({"x": torch.zeros(3)}, tmp_path / "else")
    with pytest.raises(ValueError, match="not a turbo file: its format is None"):
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
        save(tmp_path / "nan", trained(unet, 2) * float("nan"), unet, 2, 0.3)
    with pytest.raises(ValueError, match="at least 1"):
        turbo.slots(unet, 0)


def test_diffusers_own_pipeline_takes_the_parts(unet, tiny_folder, tmp_path, picture_file):
    from diffusers import StableVideoDiffusionPipeline
    from PIL import Image

    file, merged = tmp_path / "t", copy.deepcopy(unet)
    save(file, trained(unet, 2), unet, 2, 0.5)
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
    """It has the shipped weights plus the file's delta; four steps are four calls of the UNet without guidance."""
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


def test_a_folder_named_mini_turbo_is_loaded_as_it_is(unet, tiny_folder, tmp_path, monkeypatch):
    from svd_lab import load_video_pipeline

    (tmp_path / "mini-turbo").symlink_to(tiny_folder)
    monkeypatch.setenv("SVD_LAB_MODELS", str(tmp_path))
    assert same(load_video_pipeline("mini-turbo", device="cpu", speed="off").unet, unet)


def test_an_incomplete_turbo_file_is_found_before_anything_loads(tmp_path, monkeypatch):
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
