"""The world at twice its size, and the VAE for it (svd_lab/training/LOG.md)."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from svd_lab.mini import train_large_vae as large
from svd_lab.mini.backgrounds import Draw, backgrounds
from svd_lab.mini.critic import FlatAdam, PixelCritic, judged
from svd_lab.mini.models import make_unet, make_vae, unet_of, vae_of, widened
from svd_lab.mini.places import PAINTERS


@pytest.mark.parametrize("key", [None, "city night", "lake", "rain", "aerial"])
def test_a_seed_means_the_same_place_at_twice_the_size(key):
    paint = (lambda draw, n: backgrounds(draw, n)[0]) if key is None else PAINTERS[key]
    small, twice = paint(Draw("cpu", 3), 6), paint(Draw("cpu", 3, 2), 6)
    assert twice.shape == (6, 3, 256, 448)
    difference = (F.avg_pool2d(twice, 2) - small).abs().mean()
    other = (small.roll(1, 0) - small).abs().mean()
    assert difference < 0.25 * other, (difference, other)


def test_a_widened_unet_does_what_it_did_and_nothing_with_the_new_channels():
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


def test_a_new_vae_can_be_revived_narrowed_and_evened_out():
    torch.manual_seed(0)
    small = make_vae()
    vae = large.revived(large.begun(small.state_dict()), 8)
    x = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        z = vae.encode(x).latent_dist.mode()
        before = vae.decode(z, num_frames=1).sample
        large.normalised(vae, 8, 2.0, z.std((0, 2, 3)))
        again = vae.encode(x).latent_dist.mode()
        torch.testing.assert_close(again[:, 8:].std((0, 2, 3)), torch.full((8,), 2.0), rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(vae.decode(again, num_frames=1).sample, before, rtol=1e-3, atol=1e-3)
        eight = large.narrowed(vae_of(vae.state_dict()), 8)
        assert torch.allclose(eight.encode(x).latent_dist.mode(), again[:, :8], atol=1e-4)


def test_a_step_leads_vae_and_critic():
    torch.manual_seed(0)
    small = make_vae()
    vae, critic = large.begun(small.state_dict()), PixelCritic()
    adam, n = FlatAdam(critic), 2
    args = SimpleNamespace(fm=0.5, adv=0.2, equivariance=0.7, align=1.0, border=2.0)
    one = torch.ones(n, 1, 1, 1)
    x, mask, noise = torch.rand(n, 3, 96, 96) * 2 - 1, torch.rand(n, 1, 96, 96), torch.randn(2, n, 16, 6, 6)
    theta, shift = large.thetas(1, n, 1.0, "cpu"), large.shifts(n, 96, 96, "cpu")
    numbers = large.losses(vae, small, critic, args, x, mask, noise, 0 * one, one, theta, shift, torch.ones(()), n)
    assert len(numbers) == len(large.NAMES) and numbers.isfinite().all()
    for matrix in (
        vae.encoder.conv_in.weight,
        vae.quant_conv.weight,
        vae.decoder.conv_in.weight,
        vae.decoder.conv_out.weight,
    ):
        assert matrix.grad.isfinite().all() and matrix.grad.any()
    before = adam.master.clone()
    adam.step(1.0)
    assert not torch.equal(before, adam.master) and not adam.grad.any()


def test_the_critics_gradient_has_the_norm_it_is_told():
    torch.manual_seed(0)
    made, truth, near = torch.rand(3, 2, 3, 32, 32).unbind()
    critic = PixelCritic()
    FlatAdam(critic)
    gradient, _ = judged(critic, made, truth, torch.ones(2, 1, 32, 32), near, torch.ones(()), 0.5, 0.0)
    torch.testing.assert_close(gradient.flatten(1).norm(dim=1), 0.5 * near.flatten(1).norm(dim=1))
