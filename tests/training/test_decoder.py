"""The decoder that goes on alone: its codes stay as they are, and its weights are compared with others' scene by scene."""

import re
from types import SimpleNamespace

import pytest
import torch

from svd_lab.training.loop import sampled_codes
from svd_lab.training.loop.checkpoints import half, load_parts, save_parts
from svd_lab.training.loop.latent_bank import load_vae
from svd_lab.training.measure import compare_weights
from svd_lab.training.measure.compare_weights import OF_VAE, read_state
from svd_lab.training.measure.sharpness import ghosts
from svd_lab.training.networks.critic import FlatAdam, PixelCritic
from svd_lab.training.networks.video import make_vae
from svd_lab.training.stages import decoder as stage
from svd_lab.training.stages.decoder import DecoderOptions
from svd_lab.training.stages.decoder_losses import DecoderWeights, decoded, following_losses, picture_gradient

pytestmark = pytest.mark.slow  # networks, worlds of a gigabyte, processes: the workshop's tests are the slow layer's


def test_three_steps_train_the_decoder_and_leave_the_encoder_to_the_bit(
    draw_four_things, tmp_path, capsys, monkeypatch
):
    draw_four_things(stage, "VariedWorld")
    monkeypatch.setattr(stage, "DRAWN_TOGETHER", 2)
    monkeypatch.setattr(sampled_codes, "STEPS", 2)
    torch.manual_seed(0)
    before = half(make_vae())
    save_parts(dict(vae=before, scaling_factor=0.25), tmp_path / "vae.pt")
    stage.train(
        DecoderOptions(
            vae=str(tmp_path / "vae.pt"), batch=2, pool=2, sampled=1, every=2, steps=3, critic_from=0, out=str(tmp_path)
        )
    )
    saved = load_parts(tmp_path / "decoder.pt")
    assert saved["steps"] == 3 and saved["scaling_factor"] == 0.25
    changed = {name for name in before if not torch.equal(saved["vae"][name], before[name])}
    assert changed and all(name.startswith("decoder.") for name in changed)
    assert load_vae(str(tmp_path / "decoder.pt"), "cpu").config.scaling_factor == 0.25
    line = re.search("decoder 2 .*", capsys.readouterr().out)[0]
    assert " distance " in line and " following distance " in line, "true codes and the UNet's in turn"


@pytest.mark.parametrize("settings, words", [(dict(resume="state"), "--vae, not --resume"), (dict(plain=2), "--plain")])
def test_wrong_options_of_the_decoder_stage_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        DecoderOptions(**settings)


def test_errors_that_flicker_weigh_more_than_errors_that_stay():
    torch.manual_seed(0)
    x, critic = torch.rand(4, 3, 16, 16), PixelCritic()
    FlatAdam(critic)
    error = 0.1 * torch.randn(1, 3, 16, 16)
    sign = torch.tensor([1.0, -1.0, 1.0, -1.0]).view(4, 1, 1, 1)
    still, flickering = (
        picture_gradient(
            x + e, x, torch.zeros(4, 1, 16, 16), critic, DecoderWeights(flicker=1.0), torch.zeros(()), frames=4
        )[1]
        for e in (error.expand(4, -1, -1, -1), sign * error)
    )
    assert still[3] < 1e-6 and flickering[3] > 0.1 and flickering[0] > still[0] + 0.1
    torch.testing.assert_close(still[1:3], flickering[1:3])


def test_following_another_decoder_forgives_what_is_gone_at_half_the_size():
    torch.manual_seed(0)
    vae = make_vae()
    code = torch.randn(1, 8, 8, 8)
    own = decoded(vae, code, 1).detach()
    fine = 0.1 * torch.ones(64, 64).cumsum(0).cumsum(1).remainder(2).mul(2).sub(1)  # a checkerboard of pixels
    coarse = fine[:32, :32].repeat_interleave(2, 0).repeat_interleave(2, 1)
    distances = [
        following_losses(vae, DecoderWeights(), own + e, torch.zeros(1, 1, 64, 64), code, 1)[0] for e in (fine, coarse)
    ]
    assert 0 < distances[0] < 0.5 * distances[1]
    assert vae.decoder.conv_out.weight.grad.any()


def test_weights_between_two_are_a_share_of_the_way(tmp_path):
    own, new = dict(a=torch.tensor([1.0, 2.0])), dict(a=torch.tensor([3.0, 2.0]))
    torch.save(dict(vae=new), tmp_path / "new.pt")
    assert read_state("own", "vae", own) is own
    for share, value in (("", 3.0), (":0.25", 1.5)):
        assert torch.equal(read_state(f"{tmp_path}/new.pt{share}", "vae", own)["a"], torch.tensor([value, 2.0]))


def test_a_ghost_is_what_differs_where_the_thing_has_been():
    alpha, background = torch.zeros(1, 14, 128, 224), torch.full((1, 3, 128, 224), 0.5)
    alpha[0, :5, 20:40, 20:40] = 1
    alpha[0, 5:, 20:40, 120:140] = 1
    truth = SimpleNamespace(alpha=alpha, background=background)
    clean = background[:, None].repeat(1, 14, 1, 1, 1)
    assert ghosts(clean, truth) == [0]
    clean[0, -1, :, 20:40, 20:30] = 0.9
    assert ghosts(clean, truth) == [0.5]
    alpha[:] = 0
    (nothing,) = ghosts(clean, truth)
    assert nothing != nothing


def test_a_decoder_is_compared_on_the_same_codes(tiny_folder, tmp_path, capsys, four_things, monkeypatch):
    truth = four_things.on("cpu", 5).clips(3, bucket=127, fps=7, two=0, nothing=0)
    monkeypatch.setattr(compare_weights, "scenes", lambda *_: truth[~truth.camera][:2])
    own = load_parts(tiny_folder)
    worse = {name: value * (0.5 if name.startswith("decoder.conv_out") else 1) for name, value in own["vae"].items()}
    torch.save(dict(vae=worse), tmp_path / "worse.pt")
    compare_weights.main(
        ["--folder", str(tiny_folder), "--decoders", f"{tmp_path}/worse.pt", "--of", "known", "--scenes", "2"]
        + ["--device", "cpu", "--out", str(tmp_path)]
    )
    out = capsys.readouterr().out
    assert all(f"| {key} |" in out for key in (*OF_VAE, "sharp", "background_std_chunk2"))
    assert (tmp_path / "compare_weights.json").stat().st_size > 1000 and (tmp_path / "known-0.png").exists()
