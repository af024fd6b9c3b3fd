"""The mini's training code: rewrites and kernels equal the genuine classes, and every stage runs for three steps on a CPU."""

import copy
import functools
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
import threading
import time
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from svd_lab.bundled import mini_folder
from svd_lab.training.loop import self_sampling
from svd_lab.training.loop.latent_bank import Bank
from svd_lab.training.loop.muon import Optimiser, orthogonal
from svd_lab.training.loop.render_workers import Rendered, Renderer, render
from svd_lab.training.loop.sampling import denoised, distance, levels, rollout
from svd_lab.training.loop.self_sampling import Visits, guided_distance
from svd_lab.training.loop.stretch import Ahead, load_parts, shared_memory
from svd_lab.training.networks.fused_blocks import rewrite
from svd_lab.training.networks.video import LATENT, make_clip, make_unet, make_vae
from svd_lab.training.stages import unet as unet_stage
from svd_lab.training.stages.unet import sigmas
from svd_lab.training.train import COMMON, UNET
from svd_lab.training.world.varied_world import VariedWorld
from svd_lab.world.scenes import FRAMES, World

ROOT = str(Path(__file__).parents[2])

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


def test_noise_levels_end_where_they_are_told():
    torch.manual_seed(0)
    for top in (700.0, 100.0):
        only_wide = sigmas(400, "cpu", 1.5, 1.6, 1.0, top)
        assert 0.01 <= only_wide.min() and 0.9 * top < only_wide.max() <= top
        assert abs(only_wide.log().mean() - torch.tensor([0.01, top]).log().mean()) < 0.1, "even in ln(sigma)"
    middle = sigmas(400, "cpu", 1.5, 1.6, 0.0).log()
    assert abs(middle.mean() - 1.5) < 0.05 and abs(middle.std() - 1.6) < 0.1


def test_the_bank_gives_the_newest_clips_and_draws_them_as_it_is_asked_to():
    torch.manual_seed(0)
    bank = Bank(make_vae().eval(), World(seed=3), size=2, batch=1, nothing=1.0)
    for fill in range(3):
        bank.fill()
        x0, *_, what = bank.newest(9)
        assert torch.equal(x0, bank.parts[0][[fill % 2]].float()), fill
        assert x0.abs().sum() > 0 and len(x0) == 1
        assert (what[:, 1] == 0).all(), "nothing that has a direction, as it was asked for"
    assert bank.n == 2


def fill_in_floats(bank):
    """What Bank.fill was before clips travelled as uint8: from the drawn clips straight to what the bank holds."""
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


def test_a_bank_holds_the_same_whether_clips_are_drawn_here_or_come_in_parts():
    torch.manual_seed(0)
    vae = make_vae().eval()
    drawn, put = (Bank(vae, World(seed=3), size=2, batch=2) for _ in range(2))
    torch.manual_seed(1)
    expected = fill_in_floats(drawn)
    clips = render(put.world, 2)
    torch.manual_seed(1)
    put.put([Rendered(*(t[i : i + 1] for t in clips)) for i in (0, 1)])
    for name, part, value in zip(("video", "cond", "picture", "ids", "mask", "what"), put.parts, expected, strict=True):
        if name in ("video", "cond"):  # frames are rounded to 1/255 now; the VAE in bf16 rounds more
            assert relative(part.float(), value) < 0.02 < 0.2 < relative(part.float(), value.flip(0)), name
        else:
            assert torch.equal(part, value.to(part.dtype)), name
    assert put.n == put.seen == 2


@pytest.fixture(scope="module")
def world():
    """For two workers, which get its tables through shared memory; a container may have 64 MB of it, and training then has none."""
    if shared_memory() < 0.5 * 2**30:
        pytest.skip("/dev/shm is too small for processes to share the world (in Docker: --shm-size 1g)")
    return VariedWorld()


def patient(ahead, ready=Ahead.ready):
    while (batch := ready(ahead)) is None:
        time.sleep(0.01)
    return batch


def nothing_left():
    return not multiprocessing.active_children() and not any(t.name == "ahead" for t in threading.enumerate())


def test_each_worker_draws_clips_of_its_own_seed(world):
    settings = dict(nothing=0.1, two=0.2)
    with Ahead(Renderer(world, 1, 70, **settings), workers=2, parts=2, pin=False) as ahead:
        theirs = [patient(ahead) for _ in range(2)]
    assert nothing_left()
    drawn = []
    for worker in (0, 1):
        mine = world.on("cpu", 70 + worker)
        for batch in theirs:
            here, there = render(mine, 1, **settings), batch[worker]
            assert torch.equal(here.numbers, there.numbers) and torch.equal(here.what, there.what)
            assert (here.video.int() - there.video.int()).abs().max() <= 1, "the same but for the order of sums"
            assert (here.mask - there.mask).abs().max() < 0.01
            drawn.append(there.video)
    assert len({v.numpy().tobytes() for v in drawn}) == 4, "all different"


def unet_settings(tmp_path, **settings):
    common = dict(vae="none", batch=1, bank=4, prefill=1, out=str(tmp_path), state=f"{tmp_path}/state", workers=2)
    return SimpleNamespace(**(COMMON | UNET | common | settings))


def test_training_takes_the_clips_of_two_workers_and_leaves_no_process(world, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(unet_stage, "VariedWorld", lambda **_: world)
    monkeypatch.setattr(Ahead, "ready", functools.partialmethod(patient, ready=Ahead.ready))
    unet_stage.train(unet_settings(tmp_path, steps=2, every=2))
    first, *steps = capsys.readouterr().out.splitlines()
    assert first.startswith("unet bank 1, 1 of them from 2 workers")
    assert steps[0].startswith("unet 1 ") and " bank 1 new 0 " in steps[0]
    assert steps[1].startswith("unet 2 ") and " bank 3 new 2 " in steps[1] and "unseen" in steps[1], "one for `unseen`"
    assert "nan" not in "".join(steps) and nothing_left()


def test_a_frozen_encoder_stays_to_the_bit_and_where_it_is_doubted_another_one_answers(world, tmp_path, monkeypatch):
    """One step without doubt, and one where all is doubted: the UNet sees what the one encoder answers, and the other."""
    monkeypatch.setattr(unet_stage, "VariedWorld", lambda **_: world)
    monkeypatch.setattr(unet_stage, "unseen_error", lambda *_: 0.0)
    seen, real, pictures, ask = [], unet_stage.v_loss, [], unet_stage.embed
    monkeypatch.setattr(
        unet_stage, "v_loss", lambda unet, x0, cond, e, *rest: seen.append(e.detach()) or real(unet, x0, cond, e, *rest)
    )
    monkeypatch.setattr(unet_stage, "embed", lambda e, p: pictures.append(p.clone()) or ask(e, p))
    weights = str(mini_folder())
    torch.manual_seed(1)
    doubter, path = make_clip(), str(tmp_path / "doubter.pt")
    torch.save(dict(clip=doubter.state_dict()), path)
    settings = dict(weights=weights, workers=0, batch=2, bank=2, prefill=2, steps=1, blind=0.0, warm=1, freeze=1)
    for doubt in (0.0, 1.0):
        torch.manual_seed(0)
        unet_stage.train(unet_settings(tmp_path, doubt=doubt, doubter=path if doubt else "", **settings))
    own, others = seen
    assert (own.abs().sum(1) > 0).all(), "none is dropped with these seeds"
    with torch.no_grad():
        theirs = ask(doubter, pictures[-1])
    assert torch.allclose(others, theirs, atol=1e-4) and not torch.allclose(own, theirs, atol=0.1)
    before, after = load_parts(weights), load_parts(tmp_path / "unet.pt")
    assert all(torch.equal(v, after["clip"][k]) for k, v in before["clip"].items())
    assert any(not torch.equal(v, after["unet"][k]) for k, v in before["unet"].items())


def test_guided_steps_go_on_from_where_sampling_comes_by_and_lead_it_to_the_truth(tiny_folder):
    """A visit's guess is the rollout's at that step; training on visits of one clip brings the clip itself nearer to the truth."""
    from diffusers import UNetSpatioTemporalConditionModel

    unet = rewrite(UNetSpatioTemporalConditionModel.from_pretrained(tiny_folder, subfolder="unet")).train()
    optimiser = Optimiser(unet.named_parameters(), muon=2e-3, adam=2e-4)
    places = Visits(unet, optimiser, 5, 1, False)
    torch.manual_seed(0)
    truth, cond, embedding = torch.randn(1, 3, 4, 8, 12), torch.randn(1, 4, 8, 12), torch.randn(1, 32)
    ids, mask = torch.tensor([[6.0, 127, 0.02]]), torch.ones(1, 1, 1, 8, 12)
    clip = lambda: rollout(unet, noise, cond, embedding, ids, levels(10), (1.0, 3.0))  # noqa: E731
    torch.manual_seed(1)
    noise = torch.randn_like(truth)
    torch.manual_seed(1)  # add_clips draws the same
    places.add_clips(truth, cond, embedding, ids, mask)
    assert places.n == 5 and places.parts[1].tolist() == pytest.approx(levels(10)[4:-2])  # 6.05 … 0.1
    with torch.no_grad():
        guesses = clip()
        for step, guess in enumerate(guesses[4:-1]):
            x, sigma, *rest = (part[step : step + 1].float() for part in places.parts)
            ours = denoised(unet, x, sigma, *rest[1:4], (1.0, 3.0))
            assert torch.allclose(ours, guess, atol=2e-2), step  # places are kept in float16
        before = distance(guesses[-1], truth, mask, 3.0).item()
    for _ in range(12):
        guided_distance(unet, 3.0, *places.draw(5)).mean().backward()
        optimiser.step(1.0)
        places.add_clips(truth, cond, embedding, ids, mask)
    with torch.no_grad():
        assert distance(clip()[-1], truth, mask, 3.0).item() < 0.9 * before


def test_a_stretch_with_guided_steps_runs_on_a_cpu(world, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(unet_stage, "VariedWorld", lambda **_: world)
    monkeypatch.setattr(self_sampling, "STEPS", 3)  # 80, 4, 0.02
    unet_stage.train(unet_settings(tmp_path, steps=2, every=1, workers=0, guided=0.3, visited=2, places=4))
    *_, last = capsys.readouterr().out.splitlines()
    assert last.startswith("unet 2 ") and "nan" not in last
    assert float(last.split(" guided ")[1].split()[0]) > 0


@pytest.mark.parametrize(
    "settings, words",
    [
        (dict(freeze=1), "give --weights"),
        (dict(plain=4.0), "--plain is a share of the clips, from 0 to 1, not 4"),
        (dict(doubt=0.3), "--doubt 0.3 and --doubter '' belong together"),
        (dict(doubter="teacher.pt"), "--doubt 0 and --doubter 'teacher.pt' belong together"),
    ],
)
def test_settings_that_need_each_other_are_refused_before_any_work(tmp_path, settings, words):
    with pytest.raises(SystemExit, match=words):
        unet_stage.train(unet_settings(tmp_path, **settings))


def test_a_worker_that_fails_ends_training_and_says_why(world, tmp_path, monkeypatch):
    monkeypatch.setattr(unet_stage, "VariedWorld", lambda **_: world)
    monkeypatch.setattr(unet_stage, "Renderer", functools.partial(Renderer, colour="blue"))
    with pytest.raises(RuntimeError, match="works ahead failed") as failed:
        unet_stage.train(unet_settings(tmp_path, seconds=1e9, every=1))
    assert "worker process" in str(failed.value.__cause__) and "argument 'colour'" in str(failed.value.__cause__)
    assert nothing_left()


def test_no_workers_on_a_cpu_unless_asked_for_nor_where_they_could_not_talk(tmp_path, monkeypatch, capsys):
    tables = SimpleNamespace(atlas=torch.zeros(2**29, dtype=torch.uint8), rows=3)
    ask = lambda workers: unet_stage.other_processes(unet_settings(tmp_path, workers=workers), tables, 0, "cpu", 64)  # noqa: E731
    assert ask(-1) is None and ask(0) is None and not capsys.readouterr().out
    monkeypatch.setattr(unet_stage, "shared_memory", lambda: 2**26)
    assert ask(12) is None and "/dev/shm is too small for 12 workers (1.4 GiB)" in capsys.readouterr().out


def plain_step(self, fraction):
    """Optimiser.step as it was before its numbers lay on the device."""
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
    """Two matrices of one shape, one whose norm is capped, a kernel and a vector, in both kinds of step."""
    torch.manual_seed(0)
    shapes = dict(a=(24, 40), b=(24, 40), to_q=(16, 24), conv=(8, 4, 3, 3), bias=(50,), conv_in=(8, 4))
    named = [(name, torch.nn.Parameter(torch.randn(shape))) for name, shape in shapes.items()]
    named[2][1].data.mul_(3)
    return Optimiser(named, ema=0.9)


def test_a_step_with_its_numbers_on_the_device_is_the_plain_step_to_the_bit():
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


def test_an_optimiser_that_cannot_be_captured_goes_on_without_a_graph(monkeypatch, capsys):
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


def test_three_steps_of_every_stage_on_a_cpu_give_a_folder_the_genuine_pipeline_reads(tmp_path):
    common = ("--steps", "3", "--out", str(tmp_path))
    out = run(
        "-m", "svd_lab.training.train", "vae", *common, "--batch", "2", "--pool", "4", "--state", str(tmp_path / "v")
    )
    assert "VAE {" in out and "nan" not in out
    vae = str(tmp_path / "vae.pt")
    bank = ("--batch", "2", "--bank", "4", "--prefill", "4", "--vae", vae)
    out = run("-m", "svd_lab.training.train", "unet", *common, *bank, "--state", str(tmp_path / "u"))
    assert "unet 1 " in out and "nan" not in out
    assert float(out.rsplit("unseen ", 1)[1].split()[0]) > 0.1, (
        "untrained, it cannot know a clip that it has never seen"
    )
    out = run(
        "-m",
        "svd_lab.training.train",
        "unet",
        *common,
        *bank,
        "--state",
        str(tmp_path / "u2"),
        "--resume",
        str(tmp_path / "u"),
        *("--top", "100", "--nothing", "0.08", "--two", "0.24", "--ask", "0.1"),
    )
    assert "unet 4 " in out, "a stretch goes on where the last one stopped"
    run(
        "-m",
        "svd_lab.training.train",
        "export",
        "--vae",
        vae,
        "--weights",
        str(tmp_path / "unet.pt"),
        "--folder",
        str(tmp_path / "w"),
    )
    from diffusers import StableVideoDiffusionPipeline
    from PIL import Image

    pipe = StableVideoDiffusionPipeline.from_pretrained(tmp_path / "w", dtype=torch.float32)
    frames = pipe(
        Image.new("RGB", (224, 128), "red"), height=128, width=224, num_frames=2, num_inference_steps=1
    ).frames[0]
    assert len(frames) == 2 and frames[0].size == (224, 128)
