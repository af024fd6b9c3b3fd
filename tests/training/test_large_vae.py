"""The world at twice its size, and the VAE for it."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from svd_lab.mini import catalogue
from svd_lab.training.loop.checkpoints import load_parts
from svd_lab.training.measure.evaluate_large import rows_of
from svd_lab.training.networks.critic import FlatAdam, PixelCritic, critic_gradient
from svd_lab.training.networks.large_vae import grown, keep_channels, revive_channels, scale_channels
from svd_lab.training.networks.video import LARGE_WIDTHS_VAE, make_unet, make_vae, unet_of, vae_of, widened
from svd_lab.training.stages import large_vae as stage
from svd_lab.training.stages import large_vae_measure
from svd_lab.training.stages.large_vae import LargeVaeOptions
from svd_lab.training.stages.large_vae_losses import NUMBERS, LossWeights, losses
from svd_lab.training.stages.reconstruction import shifts
from svd_lab.training.stages.vae import thetas
from svd_lab.training.world.places import PAINTERS
from svd_lab.training.world.varied_world import VariedWorld, enlarged
from svd_lab.world.backgrounds import Draw, backgrounds
from svd_lab.world.scenes import World

pytestmark = pytest.mark.slow  # networks, worlds of a gigabyte, processes: the workshop's tests are the slow layer's


@pytest.fixture
def large_four_things(four_things):
    """The world of four things at twice its size, its cells enlarged: the atlases of that size are not committed."""
    world = four_things.on("cpu", 3)
    world.scale = 2
    levels, rows, channels, *_ = world.atlas.shape
    world.atlas = F.interpolate(world.atlas.flatten(0, 1), scale_factor=2, mode="bilinear").clamp(0, 1)
    world.atlas = world.atlas.view(levels, rows, channels, *world.atlas.shape[-2:])
    return world.on("cpu", 3)


@pytest.mark.parametrize("key", [None, "city night", "lake", "rain", "aerial"])
def test_a_seed_means_the_same_place_at_twice_the_size(key):
    paint = (lambda draw, n: backgrounds(draw, n)[0]) if key is None else PAINTERS[key]
    small, twice = paint(Draw("cpu", 3), 6), paint(Draw("cpu", 3, 2), 6)
    assert twice.shape == (6, 3, 256, 448)
    difference = (F.avg_pool2d(twice, 2) - small).abs().mean()
    other = (small.roll(1, 0) - small).abs().mean()
    assert difference < 0.25 * other, (difference, other)


def test_a_seed_means_the_same_clip_at_twice_the_size(four_things, large_four_things):
    small, twice = (w.on("cpu", 11).clips(4, two=0.5, nothing=0.3) for w in (four_things, large_four_things))
    assert twice.video.shape == (4, 14, 3, 256, 448)
    for name in ("bucket", "fps", "kind", "thing", "height", "camera", "facing", "place"):
        assert torch.equal(getattr(small, name), getattr(twice, name)), name
    assert (F.avg_pool2d(twice.alpha, 2) - small.alpha).abs().mean() < 0.01
    assert (F.avg_pool2d(twice.video.flatten(0, 1), 2) - small.video.flatten(0, 1)).abs().mean() < 0.02


def test_worlds_say_what_twice_the_size_needs(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "LARGE_THINGS", tmp_path)
    with pytest.raises(FileNotFoundError, match="build_things … --scale 2"):
        World(scale=2)
    with pytest.raises(ValueError, match="scale must be 1 or 2, not 3"):
        World(scale=3)
    with pytest.raises(ValueError, match="`designs` are drawn at scale 1 only"):
        VariedWorld(designs=tmp_path, scale=2)


def test_enlarged_cells_keep_their_colours_at_the_edges():
    cell = torch.zeros(1, 1, 8, 8, 4, dtype=torch.uint8)
    cell[..., 2:6, 2:6, :] = torch.tensor([200, 100, 50, 255], dtype=torch.uint8)
    out = enlarged(cell.numpy(), 2)
    assert out.shape == (1, 1, 16, 16, 4)
    seen = out[out[..., 3] > 128][:, :3].astype(int)
    assert (seen - [200, 100, 50]).min() >= -3  # nothing darker comes in from the transparent black around it


def test_a_widened_unet_does_the_same_and_nothing_with_new_channels():
    torch.manual_seed(0)
    old = make_unet()
    new = unet_of(widened(old.state_dict(), 16))
    noisy, picture, more = torch.randn(1, 2, 8, 16, 28), torch.randn(1, 2, 8, 16, 28), torch.randn(2, 1, 2, 8, 16, 28)
    rest = (torch.tensor([0.3]), torch.randn(1, 1, 64), torch.tensor([[6.0, 127.0, 0.02]]))
    with torch.no_grad():
        before = old(torch.cat([noisy, picture], 2), *rest).sample
        after = new(torch.cat([noisy, more[0], picture, more[1]], 2), *rest).sample
    torch.testing.assert_close(after[:, :, :8], before, rtol=1e-4, atol=1e-5)
    assert not after[:, :, 8:].any()


def test_channels_can_be_revived_scaled_and_left_out():
    torch.manual_seed(0)
    small = make_vae()
    vae = revive_channels(grown(small.state_dict()), 8)
    x = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        z = vae.encode(x).latent_dist.mode()
        before = vae.decode(z, num_frames=1).sample
        scale_channels(vae, 8, 2.0, z.std((0, 2, 3)))
        again = vae.encode(x).latent_dist.mode()
        torch.testing.assert_close(again[:, 8:].std((0, 2, 3)), torch.full((8,), 2.0), rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(vae.decode(again, num_frames=1).sample, before, rtol=1e-3, atol=1e-3)
        eight = keep_channels(vae_of(vae.state_dict()), 8)
        assert torch.allclose(eight.encode(x).latent_dist.mode(), again[:, :8], atol=1e-4)


def test_a_step_gives_gradients_to_vae_and_critic():
    torch.manual_seed(0)
    small = make_vae()
    vae, critic = grown(small.state_dict()), PixelCritic()
    adam, n = FlatAdam(critic), 2
    one = torch.ones(n, 1, 1, 1)
    x, mask, noise = torch.rand(n, 3, 96, 96) * 2 - 1, torch.rand(n, 1, 96, 96), torch.randn(2, n, 16, 6, 6)
    theta, shift = thetas(1, n, 1.0, "cpu"), shifts(n, 96, 96, "cpu", most=15)
    weights = LossWeights(border=2.0)
    numbers = losses(vae, small, critic, weights, x, mask, noise, 0 * one, one, theta, shift, torch.ones(()), n)
    assert len(numbers) == len(NUMBERS) and numbers.isfinite().all()
    ends = vae.encoder.conv_in, vae.quant_conv, vae.decoder.conv_in, vae.decoder.conv_out
    for matrix in (layer.weight for layer in ends):
        assert matrix.grad.isfinite().all() and matrix.grad.any()
    before = adam.master.clone()
    adam.step(1.0)
    assert not torch.equal(before, adam.master) and not adam.grad.any()


def test_the_critics_gradient_has_the_norm_that_its_weight_says():
    torch.manual_seed(0)
    made, truth, near = torch.rand(3, 2, 3, 32, 32).unbind()
    critic = PixelCritic()
    FlatAdam(critic)
    gradient, _ = critic_gradient(critic, made, truth, torch.ones(2, 1, 32, 32), near, torch.ones(()), 0.5, 0.0)
    torch.testing.assert_close(gradient.flatten(1).norm(dim=1), 0.5 * near.flatten(1).norm(dim=1))


@pytest.mark.parametrize(
    "settings, words",
    [
        (dict(resume="state"), "--weights, not --resume"),
        (dict(latent=12), "8 or 16"),
        (dict(crops=1.5), "--crops is a share"),
    ],
)
def test_wrong_options_are_refused_with_their_names(settings, words):
    with pytest.raises(ValueError, match=words):
        LargeVaeOptions(**settings)


def test_eight_channels_are_not_widened_to_sixteen(tmp_path):
    weights = tmp_path / "large_vae.pt"
    torch.save(dict(vae=make_vae(LARGE_WIDTHS_VAE, 8).state_dict()), weights)
    with pytest.raises(ValueError, match="has 8 channels and cannot be widened to --latent 16"):
        stage.make_large_vae(LargeVaeOptions(weights=str(weights)), make_vae())


def test_a_mini_is_measured_alike_at_both_sizes(four_things, large_four_things):
    truth = large_four_things.on("cpu", 5).clips(2, bucket=127, fps=7, two=0, nothing=0)
    half = replace(
        truth,
        video=F.avg_pool2d(truth.video.flatten(0, 1), 2).unflatten(0, (2, 14)),
        alpha=F.avg_pool2d(truth.alpha, 2),
        background=F.avg_pool2d(truth.background, 2),
    )
    for row in rows_of(truth, half, truth.video, truth.video):
        assert row["vae_all"] == row["vae_thing"] == 100
        assert row["sharp"] == row["sharp_large"] == row["detail"] == pytest.approx(1)
    blurred = rows_of(truth, half, half.video, half.video)
    assert all(row["sharp"] == pytest.approx(1) and row["sharp_large"] < 0.9 for row in blurred)
    spotted = truth.video.clone()
    spotted[..., -16:, -64:] -= 51 / 255 * spotted[..., -16:, -64:].sub(0.5).sign()
    for row in rows_of(truth, half, truth.video, spotted):
        assert row["corner"] == 0 < row["vae_border"] < row["vae_corner"] and row["vae_corner"] > 30


def test_three_steps_of_stage_large_vae_give_a_checkpoint(large_four_things, tmp_path, monkeypatch, capsys):
    small = lambda device="cpu", *_, seed=0, **__: large_four_things.on(device, seed)  # noqa: E731
    monkeypatch.setattr(stage, "VariedWorld", small)
    monkeypatch.setattr(stage, "World", small)
    few = lambda *_, **__: large_four_things.clips(1, at=torch.tensor([[0, 13]]), nothing=0.0)  # noqa: E731
    monkeypatch.setattr(large_vae_measure, "World", lambda *_, **__: SimpleNamespace(clips=few))
    monkeypatch.setattr(stage, "DRAWN_TOGETHER", 2)
    stage.train(LargeVaeOptions(vae="none", batch=2, pool=2, steps=3, mixed=True, critic_from=0, out=str(tmp_path)))
    saved = load_parts(tmp_path / "large_vae.pt")
    assert vae_of(saved["vae"]).config.latent_channels == 16 and saved["steps"] == 3
    assert saved["known"]["psnr"] > 0 and len(saved["held_out"]["channels"]) == 16
    assert "large-vae 2" in capsys.readouterr().out
