"""Speed: every rewrite computes what diffusers computes, is reversible, and is refused where it cannot run."""

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import TINY_SIZE, make_picture

from svd_lab import load_video_pipeline
from svd_lab.commands.bench import table
from svd_lab.performance import fused_ops, speed
from svd_lab.performance.benchmark import bench
from svd_lab.recipe import video_model

FRAMES = 5


@pytest.fixture(scope="module")
def pipe(tiny_folder):
    """A tiny pipeline of this module's own."""
    pipe = load_video_pipeline(tiny_folder, device="cpu", speed="off")
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(autouse=True)
def plain_again(pipe):
    yield
    speed.apply(pipe, "off")


GPU = torch.device("cuda", 0)


@pytest.fixture
def fresh_trouble():
    """Nothing is remembered of a GPU from before, nor afterwards of the test's."""
    fused_ops.trouble.cache_clear()
    yield
    fused_ops.trouble.cache_clear()


@pytest.fixture
def fused_gpu(monkeypatch, fresh_trouble):
    """A GPU that runs the kernels; `.capability`, and `.first`: what trying the first kernel returns or raises."""
    card = SimpleNamespace(capability=(9, 0), first=True)

    def first_kernel(device):
        if isinstance(card.first, Exception):
            raise card.first
        return card.first

    monkeypatch.setattr(fused_ops, "kernels", object())
    monkeypatch.setattr(fused_ops, "first_kernel", first_kernel)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: card.capability)
    return card


def video(pipe, size=TINY_SIZE, frames=FRAMES, steps=2):
    width, height = size
    call = {"num_frames": frames, "num_inference_steps": steps, "decode_chunk_size": 2}
    call |= {"height": height, "width": width}
    result = pipe(make_picture(size), generator=torch.manual_seed(3), **call).frames[0]
    return np.stack([np.asarray(frame) for frame in result]).astype(int)


def one_step(pipe, seed=0, tokens=1, cells=(16, 24), frames=FRAMES):
    generator = torch.Generator().manual_seed(seed)
    config = pipe.unet.config
    sample = torch.randn(2, frames, config.in_channels, *cells, generator=generator)
    token = torch.randn(2, tokens, config.cross_attention_dim, generator=generator)
    with torch.no_grad():
        return pipe.unet(sample, torch.tensor(0.7), token, added_time_ids=torch.ones(2, 3), return_dict=False)[0]


def own_forwards(pipe):
    parts = [*pipe.unet.modules(), *pipe.vae.modules(), pipe.video_processor]
    return [part for part in parts if {"forward", "postprocess_video"} & vars(part).keys()]


def relative(ours, plain):
    return float((ours - plain).norm() / plain.norm())


def test_a_loaded_pipeline_is_exact_with_the_frames_of_plain_diffusers(tiny_folder, pipe):
    ours = load_video_pipeline(tiny_folder, device="cpu")
    assert speed.applied(ours) == ("one_token", "device_frames")
    assert speed.applied(pipe) == ()
    assert np.abs(video(ours) - video(pipe)).max() == 0
    assert torch.equal(one_step(ours), one_step(pipe))


def test_the_miniature_has_the_same_frames_to_the_bit():
    mini = load_video_pipeline("mini", device="cpu", speed="off")
    mini.set_progress_bar_config(disable=True)
    plain = video(mini, (112, 64), 3, 2)
    assert plain.std() > 5
    assert speed.apply(mini) == ("one_token", "device_frames")
    assert np.abs(video(mini, (112, 64), 3, 2) - plain).max() == 0


def test_one_token_is_the_same_to_the_bit_whatever_the_size(pipe):
    """A product of few rows is summed in another order than one of many, so the rewrite must keep their number."""
    sizes = [((2, 2), 2), ((2, 4), 3), ((4, 2), 5), ((6, 10), 2), ((8, 8), 14)]
    plain = [one_step(pipe, cells=cells, frames=frames) for cells, frames in sizes]
    speed.apply(pipe, ["one_token"])
    for (cells, frames), step in zip(sizes, plain, strict=True):
        assert torch.equal(one_step(pipe, cells=cells, frames=frames), step), cells


@pytest.mark.parametrize("names", [["one_token"], ["device_frames"], ["fused_blocks"], list(speed.REWRITES)[:3]])
def test_each_rewrite_computes_the_same_and_leaves_no_trace(pipe, names):
    plain, step, state = video(pipe), one_step(pipe), {name: t.clone() for name, t in pipe.unet.state_dict().items()}
    assert speed.apply(pipe, names) == tuple(names)
    assert own_forwards(pipe)
    bitwise = all(speed.REWRITES[name].bitwise for name in names)
    assert np.abs(video(pipe) - plain).max() <= (0 if bitwise else 1)
    assert relative(one_step(pipe), step) <= (0 if bitwise else 1e-5)
    assert speed.apply(pipe, "off") == ()
    assert not own_forwards(pipe)
    assert all(parameter.is_contiguous() for part in (pipe.unet, pipe.vae) for parameter in part.parameters())
    assert all(torch.equal(tensor, state[name]) for name, tensor in pipe.unet.state_dict().items())
    assert torch.equal(one_step(pipe), step)


def test_fused_blocks_replace_every_block_of_unet_and_decoder(pipe):
    speed.apply(pipe, ["fused_blocks"])
    blocks = [type(part).__name__ for part in own_forwards(pipe)]
    wanted = [
        type(part).__name__
        for network in (pipe.unet, pipe.vae.decoder)
        for part in network.modules()
        if type(part).__name__ in ("SpatioTemporalResBlock", "TransformerSpatioTemporalModel")
    ]
    assert len(wanted) > 8
    assert sorted(name for name in blocks if name not in ("GroupNorm", "SiLU")) == sorted(wanted)


def test_fused_blocks_do_not_change_their_inputs(pipe):
    """On a CPU they add in place, but only to their own tensors: diffusers keeps a block's input for a later one."""
    speed.apply(pipe, ["fused_blocks"])
    given = []

    def keep(_, args, kwargs):
        tensors = [t for t in (*args, *kwargs.values()) if isinstance(t, torch.Tensor)]
        given.extend((t, t.clone()) for t in tensors)

    blocks = [part for part in own_forwards(pipe) if hasattr(part, "time_mixer")]
    hooks = [part.register_forward_pre_hook(keep, with_kwargs=True) for part in blocks]
    try:
        one_step(pipe)
        with torch.no_grad():
            pipe.vae.decode(torch.randn(FRAMES, pipe.vae.config.latent_channels, 8, 12), num_frames=FRAMES)
    finally:
        for hook in hooks:
            hook.remove()
    assert len(given) > 2 * len(blocks)
    assert all(torch.equal(t, before) for t, before in given)


def test_fused_blocks_follow_forward_chunking(pipe):
    step = one_step(pipe)
    speed.apply(pipe, ["fused_blocks"])
    pieces = []
    proj = next(part for name, part in pipe.unet.named_modules() if name.endswith("ff.net.0.proj"))
    hook = proj.register_forward_pre_hook(lambda _, given: pieces.append(given[0].shape[0]))
    pipe.unet.enable_forward_chunking()
    try:
        assert relative(one_step(pipe), step) < 1e-5
    finally:
        hook.remove()
        for part in pipe.unet.modules():
            if hasattr(part, "_chunk_size"):
                part._chunk_size = None
    assert pieces == [1] * 2 * FRAMES


def test_a_block_with_another_attention_processor_is_left_to_diffusers(pipe):
    from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0

    step = one_step(pipe)
    pipe.unet.set_attn_processor(AttnProcessor())
    try:
        speed.apply(pipe, ["one_token", "fused_blocks"])
        assert not [
            part
            for part in own_forwards(pipe)
            if type(part).__name__ in ("Attention", "TransformerSpatioTemporalModel")
        ]
        assert relative(one_step(pipe), step) < 1e-5
    finally:
        speed.apply(pipe, "off")
        pipe.unet.set_attn_processor(AttnProcessor2_0())


def test_one_token_leaves_several_tokens_to_diffusers(pipe):
    attention = next(part for name, part in pipe.unet.named_modules() if name.endswith("attn2"))
    x, context = torch.randn(4, 6, 32), torch.randn(4, 3, 32)
    with torch.no_grad():
        plain = attention(x, encoder_hidden_states=context)
        speed.apply(pipe, ["one_token"])
        assert torch.equal(attention(x, encoder_hidden_states=context), plain)


def test_device_frames_round_as_diffusers_does(pipe):
    exact = torch.arange(-3, 259).float() / 255 * 2 - 1  # every byte and half byte, and beyond both ends
    values = torch.cat([exact, exact + 1 / 255, torch.tensor([-9.0, 9.0])])
    clip = values[: len(values) // 12 * 12].view(1, 3, 2, 2, -1)
    plain = pipe.video_processor.postprocess_video(clip, output_type="pil")
    speed.apply(pipe, ["device_frames"])
    ours = pipe.video_processor.postprocess_video(clip, output_type="pil")
    assert [[np.asarray(f).tolist() for f in one] for one in ours] == [
        [np.asarray(f).tolist() for f in one] for one in plain
    ]
    assert torch.equal(
        pipe.video_processor.postprocess_video(clip, output_type="pt"),
        torch.stack([(clip[0].permute(1, 0, 2, 3) * 0.5 + 0.5).clamp(0, 1)]),
    )


def test_weights_offloaded_by_layer_allow_only_rewrites_that_call_layers(tiny_folder, pipe, fused_gpu):
    from accelerate import cpu_offload

    ours = load_video_pipeline(tiny_folder, device="cpu", speed="off")
    ours.set_progress_bar_config(disable=True)
    cpu_offload(ours.unet, execution_device=torch.device("cpu"))
    assert speed.streamed(ours) and not speed.streamed(pipe)
    names = speed.choose(SimpleNamespace(unet=ours.unet, _execution_device=GPU), "exact")
    assert names == ("one_token", "device_frames")
    half = SimpleNamespace(unet=ours.unet.half(), _execution_device=GPU)
    assert speed.choose(half, "auto") == names
    with pytest.raises(ValueError, match="layer by layer"):
        speed.choose(half, "fused")
    ours.unet.float()
    speed.apply(ours)
    assert torch.equal(one_step(ours), one_step(pipe))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("fast", "'auto', 'off', 'exact', 'fused'"),
        (None, "'exact'"),
        (["one_token", "magic"], "magic"),
    ],
)
def test_an_unknown_level_or_rewrite_is_refused_and_nothing_changes(pipe, given, says):
    speed.apply(pipe, ["one_token"])
    with pytest.raises((ValueError, TypeError), match=says):
        speed.apply(pipe, given) if given is not None else load_video_pipeline("mini", device="cpu", speed=3)
    assert speed.applied(pipe) == ("one_token",)


def test_the_fastest_level_that_is_available_is_taken(fused_gpu):
    cpu, half = torch.device("cpu"), torch.float16
    assert speed.resolve("auto", GPU, half) == speed.resolve("auto", GPU, torch.bfloat16) == "fused"
    assert speed.resolve("fused", cpu, torch.float32) == "fused"
    assert not speed.fits(
        "fused", SimpleNamespace(_execution_device=torch.device("mps"), unet=SimpleNamespace(dtype=half))
    )
    assert speed.resolve("auto", GPU, torch.float32) == speed.resolve("auto", cpu, half) == "exact"
    assert speed.resolve("fused", GPU, torch.float32) == "fused"


@pytest.mark.parametrize(
    ("capability", "first", "says"),
    [
        ((7, 5), True, "capability is 7.5, and the kernels need 8.0"),
        ((9, 0), RuntimeError("traceback\nFailed to find C compiler."), "Failed to find C compiler"),
        ((9, 0), KeyError(), "KeyError"),
        ((9, 0), False, "wrong numbers"),
    ],
)
def test_a_gpu_that_cannot_run_the_kernels_is_exact_and_fused_says_why(fused_gpu, capability, first, says):
    """Each way in which a GPU machine fails: an old card, no compiler, a broken Triton."""
    fused_gpu.capability, fused_gpu.first = capability, first
    assert speed.resolve("auto", GPU, torch.float16) == "exact"
    with pytest.raises(ValueError, match=says):
        speed.resolve("fused", GPU, torch.float16)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("installed", [True, False], ids=["with Triton", "without Triton"])
def test_without_a_gpu_fused_on_cuda_is_refused_with_a_reason(monkeypatch, fresh_trouble, installed):
    """With torch as it is here, whatever its build."""
    monkeypatch.setattr(fused_ops, "kernels", object() if installed else None)
    assert speed.resolve("auto", GPU, torch.float16) == "exact"
    with pytest.raises(
        ValueError, match="Triton cannot make a kernel here" if installed else "Triton is not installed"
    ):
        speed.resolve("fused", GPU, torch.float16)


def test_a_recipe_says_whether_rounding_is_that_of_diffusers(pipe, tmp_path):
    from svd_lab import generate_video, recipe_file, replay

    picture = make_picture(TINY_SIZE)
    call = {"seed": 1, "pipe": pipe, "num_frames": 2, "num_inference_steps": 1}
    speed.apply(pipe, "exact")
    exact = generate_video(picture, tmp_path / "exact.mp4", **call)
    speed.apply(pipe, ["fused_blocks"])
    fused = generate_video(picture, tmp_path / "fused.mp4", **call)
    assert recipe_file.read_recipe(exact.path)["speed"] == "exact"
    assert recipe_file.read_recipe(fused.path)["speed"] == "fused"
    with pytest.warns(UserWarning, match="speed was exact, is fused"):
        replay(exact.path, tmp_path / "again.mp4", pipe=pipe)


def test_a_recipe_without_a_speed_was_exact(pipe, tmp_path):
    from svd_lab import generate_video, recipe_file

    clip = generate_video(
        make_picture(TINY_SIZE), tmp_path / "a.mp4", 1, pipe=pipe, num_frames=2, num_inference_steps=1
    )
    recipe = recipe_file.read_recipe(clip.path)
    old = {name: value for name, value in recipe.items() if name != "speed"}
    assert recipe_file._checked(old) == old | {"speed": "exact"}
    with pytest.raises(ValueError, match="speed"):
        recipe_file._checked(old | {"speed": "magic"})


KERNELS = """
import torch
from torch import nn
from svd_lab.performance import fused_ops

assert fused_ops.INTERPRETED and fused_ops.first_kernel("cpu")
torch.manual_seed(0)

def both(name, call):
    # in float64, so that the difference is the kernel's float32
    ours = call(torch.float32)
    fused_ops.INTERPRETED = False
    plain = call(torch.float64)
    fused_ops.INTERPRETED = True
    for a, b in zip(ours, plain):
        error = float((a.double() - b).norm() / b.norm())
        assert a.shape == b.shape and error < 2e-6, (name, error)
    print(name)

def maps(*shape):
    return torch.randn(*shape).contiguous(memory_format=torch.channels_last) * 3 + 7

x, v, one = maps(6, 64, 5, 7), torch.randn(6, 64), torch.randn(1, 64)
norm = nn.GroupNorm(32, 64)
nn.init.normal_(norm.weight); nn.init.normal_(norm.bias)
large = maps(2, 96, 17, 16)  # more rows than a chunk, channels that are no power of two
norm96 = nn.GroupNorm(32, 96)
layer = nn.LayerNorm(96)
nn.init.normal_(layer.weight); nn.init.normal_(layer.bias)
rows, other, vector = torch.randn(4, 5, 96) + 3, torch.randn(4, 5, 96), torch.randn(4, 96)
mix = torch.tensor([0.3])
with torch.no_grad():
    for per, w, act in ((1, None, True), (1, one, False), (3, v, True), (3, None, False)):
        put = lambda d: None if w is None else w.to(d)
        both(f"norm_act {per} {act}", lambda d: [fused_ops.norm_act(x.to(d), norm.to(d), put(d), per, act)])
    both("norm_act chunks", lambda d: [fused_ops.norm_act(large.to(d), norm96.to(d), None, 2)])
    both("add_norm", lambda d: fused_ops.add_norm(layer.to(d), rows.to(d)))
    for keep in (True, False):
        both("add_norm sum", lambda d: fused_ops.add_norm(layer.to(d), rows.to(d), other.to(d), vector.to(d), 5, keep))
        both("add_norm pair", lambda d: fused_ops.add_norm(layer.to(d), rows.to(d), other.to(d), vector[:2].to(d), 10, keep))
    both("geglu", lambda d: [fused_ops.geglu(torch.linspace(-6, 6, 3 * 2 * 96).view(3, 2, 96).to(d))])
    both("combine map", lambda d: [fused_ops.combine(x.to(d), (x * 2).to(d), one.to(d))])
    both("combine rows", lambda d: [fused_ops.combine(rows.to(d), None, vector.to(d))])
    for switch in (True, False):
        both("combine mix", lambda d: [fused_ops.combine(x.to(d), (x * 2).to(d), v.to(d), (x - 9).to(d), mix.to(d), switch)])
    for frames, heads, size in ((5, 2, 32), (17, 1, 16)):
        qkv = torch.randn(2 * frames, 3, 3 * heads * size)
        both("time_attention", lambda d: [fused_ops.time_attention(qkv.to(d), frames, heads)])
"""


def test_the_kernels_compute_what_pytorch_computes():
    """In Triton's interpreter, on this CPU. Compilation and speed need a GPU: docs/speed.md."""
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", KERNELS], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("\n") == 17


def test_bench_measures_the_class_call_and_finds_no_difference(pipe):
    speed.apply(pipe, ["one_token"])
    result = bench(
        pipe,
        make_picture(size=TINY_SIZE),
        ["exact", "one_token+fused_blocks"],
        model=video_model(pipe),
        num_frames=3,
        num_inference_steps=2,
        repeats=2,
        reference=True,
    )
    assert speed.applied(pipe) == ("one_token",)
    plain, ours = result["levels"]["off"], result["levels"]["exact"]
    assert plain["rewrites"] == [] and ours["rewrites"] == ["one_token", "device_frames"]
    assert ours["frames_max"] == 0 and ours["step_error"] == 0 == result["float32"]["frames_max"]
    assert ours["ratio"] == pytest.approx(plain["call"] / ours["call"])
    assert result["levels"]["one_token+fused_blocks"]["step_error"] < 1e-5
    for row in (plain, ours):
        parts = sum(row[name] for name in ("clip", "encode", "decode", "frames", "rest")) + 2 * row["step"]
        assert 0 < row["step"] < row["call"] * 3 and 0 < parts < row["first"] * 20
        assert row["step_share"] == pytest.approx(result["step_tflop"] / row["step"] / result["matrix_tflops"])
    lines = table(result).splitlines()
    assert lines[3].split()[:3] == ["first", "call", "ratio"] and lines[5].startswith("exact")
    assert not [part for part in pipe.unet.modules() if part._forward_hooks or part._forward_pre_hooks]


def test_bench_refuses_an_unknown_rewrite_before_it_measures(pipe, monkeypatch):
    monkeypatch.setattr("svd_lab.performance.benchmark.matrix_rate", lambda *_: pytest.fail("it went on"))
    with pytest.raises(ValueError, match="magic"):
        bench(pipe, make_picture(size=TINY_SIZE), ["exact", "one_token+magic"])
