"""The training of the video mini: fused blocks and kernels equal diffusers' classes, and every stage runs on a CPU."""

import copy
import functools
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from svd_lab.training import train
from svd_lab.training.loop import render_workers, self_sampling
from svd_lab.training.loop.background import BackgroundBatches
from svd_lab.training.loop.checkpoints import load_parts
from svd_lab.training.loop.clock import SigmaBuckets, rate_factor
from svd_lab.training.loop.latent_bank import LatentBank
from svd_lab.training.loop.muon import Optimiser, orthogonal
from svd_lab.training.loop.process import Process, shared_memory
from svd_lab.training.loop.render_workers import Rendered, Renderer, render
from svd_lab.training.loop.sampling import denoised, distance, levels, random_sigmas, rollout
from svd_lab.training.loop.self_sampling import SelfSampledStates, guided_distance
from svd_lab.training.networks.fused_blocks import rewrite
from svd_lab.training.networks.video import LATENT, make_clip, make_unet, make_vae
from svd_lab.training.stages import unet as unet_stage
from svd_lab.training.stages.unet import UNetOptions
from svd_lab.world.clips import FRAMES

pytestmark = pytest.mark.slow  # networks, worlds of a gigabyte, processes: the workshop's tests are the slow layer's

ROOT = str(Path(__file__).parents[2])
NARROW = (32, 32, 32, 32)  # widths of a quick VAE

KERNELS = """
import torch, torch.nn.functional as F
from svd_lab.training.networks.triton_group_norm import GNAct
from svd_lab.training.networks.triton_ops import AddVec, GEGLUFn, LinearFn, LNFn, ShortAttention
torch.manual_seed(0)

def same(name, ours, theirs, inputs):
    d = torch.randn_like(theirs)
    pairs = [(ours, theirs), *zip(torch.autograd.grad(ours, inputs, d), torch.autograd.grad(theirs, inputs, d))]
    worst = max(((a - b).norm() / b.norm()).item() for a, b in pairs)
    assert worst < 1e-4, (name, worst)
    print(name, worst)

for n, c, h, w in ((3, 64, 5, 9), (2, 96, 14, 31)):
    for act in (True, False):
        x = torch.randn(n, c, h, w).mul(2).add(.5).contiguous(memory_format=torch.channels_last).requires_grad_()
        m = torch.nn.GroupNorm(32, c); m.weight.data.normal_(); m.bias.data.normal_()
        same("GroupNorm", GNAct.apply(x, m.weight, m.bias, 32, m.eps, act), F.silu(m(x)) if act else m(x), [x, m.weight, m.bias])
x = torch.randn(7, 5, 48, requires_grad=True); a, b = x.chunk(2, -1)
same("GEGLU", GEGLUFn.apply(x), a * F.gelu(b), [x])
x = torch.randn(3, 51, 64, requires_grad=True); m = torch.nn.LayerNorm(64); m.weight.data.normal_()
same("LayerNorm", LNFn.apply(x, m.weight, m.bias, m.eps), m(x), [x, m.weight, m.bias])
x = torch.randn(5, 14, 3, 2, 32, requires_grad=True)
theirs = F.scaled_dot_product_attention(*(x[:, :, i].transpose(1, 2) for i in range(3))).transpose(1, 2).reshape(5, 14, 64)
same("attention", ShortAttention.apply(x), theirs, [x])
y = torch.randn(6, 96, 5, 7).contiguous(memory_format=torch.channels_last).requires_grad_()
e = torch.randn(6, 96, requires_grad=True)
same("AddVec", AddVec.apply(y * 1, e), y + e[..., None, None], [y, e])
m = torch.nn.Linear(64, 160); x = torch.randn(4, 9, 64, requires_grad=True)
same("Linear", LinearFn.apply(x, m.weight, m.bias), m(x), [x, m.weight, m.bias])
"""


def run(*args, **env):
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", **env}
    done = subprocess.run([sys.executable, *args], cwd=ROOT, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def relative(a, b):
    return ((a - b).norm() / b.norm()).item()


@pytest.fixture(scope="module")
def unet():
    torch.manual_seed(0)
    model = make_unet()
    for p in model.parameters():
        p.data.add_(torch.randn_like(p) * 0.02)
    return model


def test_rewritten_unet_equals_diffusers_forward_and_backward(unet):
    ours = rewrite(copy.deepcopy(unet))
    x, t = torch.randn(2, 3, 2 * LATENT, 8, 8), torch.tensor([0.3, -1.0])
    token, ids = torch.randn(2, 1, 64), torch.rand(2, 3) * 100
    a, b = unet(x, t, token, ids).sample, ours(x, t, token, ids).sample
    assert relative(b, a) < 1e-5
    d = torch.randn_like(a)
    a.backward(d)
    b.backward(d)
    for (name, p), q in zip(unet.named_parameters(), ours.parameters(), strict=True):
        if q.grad is None:  # queries and keys of a softmax over one key: no gradient in truth either
            assert ("attn2.to_q" in name or "attn2.to_k" in name or "norm2" in name) and p.grad.norm() < 1e-3 * d.norm()
        elif p.grad.norm() > 1e-4:
            assert relative(q.grad, p.grad) < 1e-3, name


def test_rewritten_vae_equals_diffusers():
    torch.manual_seed(0)
    vae = make_vae()
    ours = rewrite(copy.deepcopy(vae))
    x = torch.randn(4, 3, 32, 48)
    with torch.no_grad():
        z = vae.encode(x).latent_dist.mode()
        assert relative(ours.encode(x).latent_dist.mode(), z) < 1e-5
        assert relative(ours.decode(z, num_frames=4).sample, vae.decode(z, num_frames=4).sample) < 1e-5


def test_kernels_equal_pytorch_in_the_interpreter():
    pytest.importorskip("triton", reason="Triton has no wheel for this platform; the kernels serve CUDA machines only")
    assert run("-c", KERNELS, TRITON_INTERPRET="1").count("\n") >= 9


def test_noise_levels_end_where_they_should():
    torch.manual_seed(0)
    settings = dict(mean=1.5, spread=1.6, low=0.01)
    for high in (700.0, 100.0):
        only_uniform = random_sigmas(400, "cpu", uniform=1.0, high=high, **settings)
        assert 0.01 <= only_uniform.min() and 0.9 * high < only_uniform.max() <= high
        middle = torch.tensor([0.01, high]).log().mean()
        assert abs(only_uniform.log().mean() - middle) < 0.1, "even in ln(sigma)"
    middle = random_sigmas(400, "cpu", uniform=0.0, high=700.0, **settings).log()
    assert abs(middle.mean() - 1.5) < 0.05 and abs(middle.std() - 1.6) < 0.1


def test_the_learning_rate_warms_up_and_falls():
    rate = functools.partial(rate_factor, warmup=10, decay=0.5, floor=0.01)
    assert [rate(step, 0.0) for step in (0, 4, 9, 50)] == [0.1, 0.5, 1.0, 1.0]
    assert [rate(50, progress) for progress in (0.5, 0.75, 1.0)] == pytest.approx([1.0, 0.51, 0.01])


def test_the_log_shows_weighted_means_by_noise_level():
    buckets = SigmaBuckets((0.3, 1.0, 40.0), 2, "cpu")
    values, sigma = torch.tensor([1.0, 3.0, 5.0, 7.0]), torch.tensor([0.1, 0.2, 50.0, 60.0])
    buckets.add(sigma, [(values, torch.tensor([1.0, 1.0, 1.0, 0.0])), (values, torch.tensor([0.0, 0.0, 0.0, 1.0]))])
    first, second = buckets.take()
    assert first == [2, 0, 0, 5] and second == [0, 0, 0, 7]
    assert buckets.named(first) == "<.3:2.000 .3-1:0.000 1-40:0.000 >40:5.000"
    assert buckets.take() == [[0] * 4] * 2, "each time from the start"


def test_the_bank_returns_its_newest_clips_and_passes_settings_on(four_things):
    torch.manual_seed(0)
    bank = LatentBank(make_vae(NARROW).eval(), four_things.on("cpu", 3), size=2, batch=1, nothing=1.0)
    for fill in range(3):
        bank.fill()
        x0, *_, what = bank.newest(9)
        assert torch.equal(x0, bank.parts[0][[fill % 2]].float()), fill
        assert x0.abs().sum() > 0 and len(x0) == 1
        assert (what[:, 1] == 0).all(), "nothing with a direction, as the settings say"
    assert bank.n == 2


def fill_in_floats(bank):
    """Compute the rows of a bank straight from the drawn clips, without uint8 in between."""
    c, n = bank.world.clips(bank.batch, **bank.settings), bank.batch
    first = (c.video[:, 0] * 255).round().to(torch.uint8)
    picture = first.float() / 127.5 - 1
    aug = torch.where(torch.rand(n) < 0.6, 0.02, torch.rand(n) * 0.1)
    x = torch.cat([(c.video * 2 - 1).flatten(0, 1), picture + aug[:, None, None, None] * torch.randn_like(picture)])
    with torch.no_grad():
        z = bank.vae.quant_conv(bank.vae.encoder(x))[:, :LATENT]
    m = F.max_pool2d(F.max_pool2d(c.alpha.amax(1, keepdim=True), 8), 3, 1, 1)
    m = torch.maximum(m, c.camera.float()[:, None, None, None] * 0.35)[:, None]
    video = (z[: n * FRAMES] * bank.vae.config.scaling_factor).view(n, FRAMES, LATENT, 16, 28)
    ids = torch.stack([c.fps - 1, c.bucket, aug], 1)
    return video, z[n * FRAMES :], first, ids, m, torch.stack([c.kind[:, 0].clamp(min=-1), c.facing], 1)


def test_a_bank_holds_the_same_for_clips_that_come_in_parts(four_things):
    torch.manual_seed(0)
    vae = make_vae().eval()
    drawn, put = (LatentBank(vae, four_things.on("cpu", 3), size=2, batch=2) for _ in range(2))
    torch.manual_seed(1)
    expected = fill_in_floats(drawn)
    clips = render(put.world, 2)
    torch.manual_seed(1)
    put.put([Rendered(*(t[i : i + 1] for t in clips)) for i in (0, 1)])
    for name, part, value in zip(("video", "cond", "picture", "ids", "mask", "what"), put.parts, expected, strict=True):
        if name in ("video", "cond"):  # frames are rounded to 1/255; the VAE in bf16 rounds more
            assert relative(part.float(), value) < 0.02 < 0.2 < relative(part.float(), value.flip(0)), name
        else:
            assert torch.equal(part, value.to(part.dtype)), name
    assert put.n == put.seen == 2


@pytest.fixture
def two_workers():
    """Skip where processes cannot exchange tensors: a container may have 64 MB of shared memory, and training then no workers."""
    if shared_memory() < 2**28:
        pytest.skip("/dev/shm is too small for workers (in Docker: --shm-size 1g)")


def wait_for(batches, ready=BackgroundBatches.ready):
    while (batch := ready(batches)) is None:
        time.sleep(0.01)
    return batch


def nothing_left():
    return not multiprocessing.active_children() and not any(
        t.name == "background-batches" for t in threading.enumerate()
    )


def test_each_worker_draws_clips_of_its_own_seed(four_things, two_workers):
    settings = dict(nothing=0.1, two=0.2)
    with BackgroundBatches(Renderer(four_things, 1, 70, **settings), workers=2, parts=2, pin=False) as batches:
        theirs = [wait_for(batches) for _ in range(2)]
    assert nothing_left()
    drawn = []
    for worker in (0, 1):
        mine = four_things.on("cpu", 70 + worker)
        for batch in theirs:
            here, there = render(mine, 1, **settings), batch[worker]
            assert torch.equal(here.numbers, there.numbers) and torch.equal(here.what, there.what)
            assert (here.video.int() - there.video.int()).abs().max() <= 1, "the same but for the order of sums"
            assert (here.mask - there.mask).abs().max() < 0.01
            drawn.append(there.video)
    assert len({v.numpy().tobytes() for v in drawn}) == 4, "all different"


def unet_options(tmp_path, **settings):
    common = dict(vae="none", batch=1, bank=4, prefill=1, out=str(tmp_path), state=f"{tmp_path}/state", workers=0)
    return UNetOptions(**(common | settings))


def test_training_takes_clips_of_two_workers_and_leaves_no_process(
    two_workers, draw_four_things, narrow_networks, tmp_path, monkeypatch, capsys
):
    draw_four_things(unet_stage, "VariedWorld")
    monkeypatch.setattr(BackgroundBatches, "ready", functools.partialmethod(wait_for, ready=BackgroundBatches.ready))
    unet_stage.train(unet_options(tmp_path, steps=2, every=2, workers=2))
    first, *steps = capsys.readouterr().out.splitlines()
    assert first.startswith("unet bank 1, 1 of them from 2 workers")
    assert steps[0].startswith("unet 1 ") and " bank 1 new 0 " in steps[0]
    assert steps[1].startswith("unet 2 ") and " bank 3 new 2 " in steps[1] and "unseen" in steps[1], "one for `unseen`"
    assert "nan" not in "".join(steps) and nothing_left()


def test_a_frozen_encoder_stays_and_a_weaker_one_embeds_its_share(
    draw_four_things, narrow_networks, tmp_path, monkeypatch
):
    """One step with the frozen encoder alone, and one where the weaker encoder embeds everything."""
    draw_four_things(unet_stage, "VariedWorld")
    monkeypatch.setattr(unet_stage, "unseen_error", lambda *_: 0.0)
    seen, real, pictures, embed = [], unet_stage.v_loss, [], unet_stage.embed
    monkeypatch.setattr(
        unet_stage, "v_loss", lambda unet, x0, cond, e, *rest: seen.append(e.detach()) or real(unet, x0, cond, e, *rest)
    )
    monkeypatch.setattr(unet_stage, "embed", lambda e, p: pictures.append(p.clone()) or embed(e, p))
    weights, path = tmp_path / "weights.pt", tmp_path / "weaker.pt"
    torch.save(dict(unet=unet_stage.make_unet().state_dict(), clip=make_clip().half().state_dict()), weights)
    torch.manual_seed(1)
    weaker = make_clip()
    torch.save(dict(clip=weaker.state_dict()), path)
    settings = dict(
        weights=str(weights), batch=2, bank=2, prefill=2, steps=1, drop_embedding=0.0, warmup=1, freeze=True
    )
    for share in (0.0, 1.0):
        torch.manual_seed(0)
        given = dict(weaker_share=share, weaker_encoder=str(path) if share else "")
        unet_stage.train(unet_options(tmp_path, **given, **settings))
    own, others = seen
    assert (own.abs().sum(1) > 0).all(), "none is dropped with these seeds"
    with torch.no_grad():
        theirs = embed(weaker, pictures[-1])
    assert torch.allclose(others, theirs, atol=1e-4) and not torch.allclose(own, theirs, atol=0.1)
    before, after = load_parts(weights), load_parts(tmp_path / "unet.pt")
    assert all(torch.equal(v, after["clip"][k]) for k, v in before["clip"].items())
    assert any(not torch.equal(v.half(), after["unet"][k]) for k, v in before["unet"].items())


def test_guided_steps_start_from_sampled_states_and_lead_to_the_truth(tiny_folder):
    """A state's prediction is the rollout's at that step; training on the states of a clip brings the clip nearer to the truth."""
    from diffusers import UNetSpatioTemporalConditionModel

    unet = rewrite(UNetSpatioTemporalConditionModel.from_pretrained(tiny_folder, subfolder="unet")).train()
    optimiser = Optimiser(unet.named_parameters(), muon=2e-3, adam=2e-4)
    states = SelfSampledStates(unet, optimiser, 5, 1, False)
    torch.manual_seed(0)
    truth, cond, embedding = torch.randn(1, 3, 4, 8, 12), torch.randn(1, 4, 8, 12), torch.randn(1, 32)
    ids, mask = torch.tensor([[6.0, 127, 0.02]]), torch.ones(1, 1, 1, 8, 12)
    clip = lambda: rollout(unet, noise, cond, embedding, ids, levels(10), (1.0, 3.0))  # noqa: E731
    torch.manual_seed(1)
    noise = torch.randn_like(truth)
    torch.manual_seed(1)  # add_clips draws the same
    states.add_clips(truth, cond, embedding, ids, mask)
    assert states.n == 5 and states.parts[1].tolist() == pytest.approx(levels(10)[4:-2])  # 6.05 … 0.1
    with torch.no_grad():
        predictions = clip()
        for step, prediction in enumerate(predictions[4:-1]):
            x, sigma, *rest = (part[step : step + 1].float() for part in states.parts)
            ours = denoised(unet, x, sigma, *rest[1:4], (1.0, 3.0))
            assert torch.allclose(ours, prediction, atol=2e-2), step  # states are kept in float16
        before = distance(predictions[-1], truth, mask, 3.0).item()
    for _ in range(12):
        guided_distance(unet, 3.0, *states.draw(5)).mean().backward()
        optimiser.step(1.0)
        states.add_clips(truth, cond, embedding, ids, mask)
    with torch.no_grad():
        assert distance(clip()[-1], truth, mask, 3.0).item() < 0.9 * before


def test_a_run_with_guided_steps_works_on_a_cpu(draw_four_things, narrow_networks, tmp_path, monkeypatch, capsys):
    draw_four_things(unet_stage, "VariedWorld")
    monkeypatch.setattr(self_sampling, "STEPS", 3)  # 80, 4, 0.02
    unet_stage.train(unet_options(tmp_path, steps=2, every=1, guided_weight=0.3, guided_batch=2, sampled_states=4))
    *_, last = capsys.readouterr().out.splitlines()
    assert last.startswith("unet 2 ") and "nan" not in last
    assert float(last.split(" guided ")[1].split()[0]) > 0


@pytest.mark.parametrize(
    "settings, words",
    [
        (dict(freeze=True), "give --weights"),
        (dict(plain=4.0), "--plain is a share, from 0 to 1, not 4"),
        (dict(weaker_share=0.3), "--weaker-share 0.3 and --weaker-encoder '' belong together"),
        (dict(weaker_encoder="old.pt"), "--weaker-share 0 and --weaker-encoder 'old.pt' belong together"),
    ],
)
def test_options_that_need_each_other_are_refused_before_any_work(tmp_path, capsys, settings, words):
    with pytest.raises(ValueError, match=words):
        unet_options(tmp_path, **settings)
    flags = [f"--{k.replace('_', '-')}" + ("" if v is True else f"={v}") for k, v in settings.items()]
    with pytest.raises(SystemExit):
        train.main(["unet", *flags])
    assert words in capsys.readouterr().err


def test_the_command_line_gives_every_option_to_its_stage(monkeypatch):
    given = []
    for name, (kind, _) in train.STAGES.items():
        monkeypatch.setitem(train.STAGES, name, (kind, given.append))
    train.main(["unet", "--seconds", "7", "--bank", "9", "--weights", "w", "--freeze", "--sigma-max", "80"])
    train.main(["export", "--vae", "v", "--weights", "w", "--folder", "f"])
    assert given[0] == UNetOptions(seconds=7.0, bank=9, weights="w", freeze=True, sigma_max=80.0)
    assert given[1] == train.ExportOptions(vae="v", weights="w", folder="f")


def test_a_worker_that_fails_ends_training_with_its_error(
    two_workers, draw_four_things, narrow_networks, tmp_path, monkeypatch
):
    draw_four_things(unet_stage, "VariedWorld")
    wrong = functools.partial(render_workers.render_workers, colour="blue")
    monkeypatch.setattr(unet_stage, "render_workers", wrong)
    with pytest.raises(RuntimeError, match="worker process failed") as failed:
        unet_stage.train(unet_options(tmp_path, seconds=1e9, every=1, workers=2))
    assert "worker process" in str(failed.value.__cause__) and "argument 'colour'" in str(failed.value.__cause__)
    assert nothing_left()


def test_no_workers_on_a_cpu_by_default_or_without_shared_memory(monkeypatch, capsys):
    tables = SimpleNamespace(atlas=torch.zeros(1, dtype=torch.uint8).expand(2**29), rows=3)
    start = lambda n: render_workers.render_workers(tables, n, 64, 0, Process(0, 1, "cpu"))  # noqa: E731
    assert start(-1) is None and start(0) is None and not capsys.readouterr().out
    monkeypatch.setattr(render_workers, "shared_memory", lambda: 2**26)
    assert start(12) is None and "/dev/shm is too small for 12 workers (1.4 GiB)" in capsys.readouterr().out


def plain_step(self, fraction):
    """Optimiser.step with its numbers on the host."""
    g = self.grad.to(torch.float32, copy=True)
    self.grad.zero_()
    self.n += 1
    norm = g.norm()
    ok = torch.isfinite(norm).float()
    g = g.nan_to_num_(0, 0, 0) * (ok / norm.clamp(min=1.0).nan_to_num(1.0, 1.0))
    r = self.rest
    m, v, w = self.momentum[:r], self.square, self.master[:r]
    m.lerp_(g[:r], 0.1)
    v.lerp_(g[:r].square(), 0.01)
    step = (m / (1 - 0.9**self.n)) / ((v / (1 - 0.99**self.n)).sqrt() + 1e-8)
    w.sub_(step * (self.adam * fraction * ok))
    at, rate = r, self.muon * fraction
    for k, out, inner, *key in self.shape:
        s = slice(at, at + k * out * inner)
        at = s.stop
        self.momentum[s].mul_(0.95).add_(g[s])
        u = orthogonal(g[s].add(self.momentum[s], alpha=0.95).view(k, out, inner))
        w = self.master[s].view(k, out, inner)
        w.sub_((w * self.decay + u * max(1.0, out / inner) ** 0.5) * (rate * ok))
        if key[0]:
            w.mul_((1.5 * out**0.5 / w.norm(dim=(1, 2), keepdim=True)).clamp(max=1.0))
    torch._foreach_copy_([p.data for p in self.params], self._views(self.master))
    self.average.lerp_(self.master, 1 - min(self.ema, (1 + self.n) / (10 + self.n)))
    return norm


def small_optimiser():
    """An optimiser of two matrices of one shape, one whose norm is capped, a kernel and a vector."""
    torch.manual_seed(0)
    shapes = dict(a=(24, 40), b=(24, 40), to_q=(16, 24), conv=(8, 4, 3, 3), bias=(50,), conv_in=(8, 4))
    named = [(name, torch.nn.Parameter(torch.randn(shape))) for name, shape in shapes.items()]
    named[2][1].data.mul_(3)
    return Optimiser(named, ema=0.9)


def test_a_step_with_its_numbers_on_the_device_is_the_plain_step():
    ours, plain = small_optimiser(), small_optimiser()
    for i in range(25):
        gradient = torch.randn(ours.grad.shape) * (0.01 if i % 3 else 2)
        if i == 7:
            gradient[5] = float("nan")  # moves no weight
            before = ours.master.clone()
        ours.grad.copy_(gradient)
        plain.grad.copy_(gradient)
        fraction = min(1.0, (i + 1) / 10) * (1 - i / 30)
        a, b = ours.step(fraction), plain_step(plain, fraction)
        assert torch.equal(a, b) or i == 7
        for name in ("master", "average", "momentum", "square", "grad"):
            assert torch.equal(getattr(ours, name), getattr(plain, name)), (i, name)
        assert all(torch.equal(p, q) for p, q in zip(ours.params, plain.params, strict=True))
        if i == 7:
            assert torch.equal(ours.master, before)
    assert ours.n == plain.n == 25 and not ours.grad.any()


def test_an_optimiser_that_cannot_be_captured_runs_without_a_graph(monkeypatch, capsys):
    class Refuses:
        def __init__(self, *_, **__): ...

        def __enter__(self):
            raise RuntimeError("capture invalidated\nand more")

        def __exit__(self, *_): ...

    streams = []
    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "graph", Refuses)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: "main")
    monkeypatch.setattr(torch.cuda, "set_stream", streams.append)
    optimiser = small_optimiser()
    assert optimiser._captured() == optimiser._update and streams == ["main"]
    assert capsys.readouterr().out == "the optimiser goes on without a CUDA graph: capture invalidated\n"


def test_three_steps_of_the_video_stages_give_a_folder_for_diffusers(tmp_path):
    stage = functools.partial(run, "-m", "svd_lab.training.train")
    common = ("--steps", "3", "--batch", "1", "--out", str(tmp_path))
    out = stage("vae", *common, "--pool", "2", "--state", str(tmp_path / "v"))
    assert "VAE {" in out and "nan" not in out
    vae = str(tmp_path / "vae.pt")
    bank = (*common, "--bank", "2", "--prefill", "2", "--vae", vae)
    out = stage("unet", *bank, "--state", str(tmp_path / "u"))
    assert "unet 1 " in out and "nan" not in out
    assert float(out.rsplit("unseen ", 1)[1].split()[0]) > 0.1, (
        "untrained, it cannot know a clip that it has never seen"
    )
    again = ("--state", str(tmp_path / "u2"), "--resume", str(tmp_path / "u"))
    other = ("--sigma-max", "100", "--nothing", "0.08", "--two", "0.24", "--head-weight", "0.1")
    assert "unet 4 " in stage("unet", *bank, *again, *other), "a run goes on where the last one stopped"
    stage("export", "--vae", vae, "--weights", str(tmp_path / "unet.pt"), "--folder", str(tmp_path / "w"))
    from diffusers import StableVideoDiffusionPipeline
    from PIL import Image

    pipe = StableVideoDiffusionPipeline.from_pretrained(tmp_path / "w", dtype=torch.float32)
    frames = pipe(
        Image.new("RGB", (224, 128), "red"), height=128, width=224, num_frames=2, num_inference_steps=1
    ).frames[0]
    assert len(frames) == 2 and frames[0].size == (224, 128)
