"""The same video in less time: named rewrites of a loaded pipeline, on by default, each of them reversible.

    pipe = load_video_pipeline("svd")                # speed="auto"; or "off", "exact", "fused"
    svd_lab.performance.speed.apply(pipe, "off")     # switches a loaded pipeline: plain diffusers
    svd_lab.performance.speed.applied(pipe)          # the names of the rewrites that are on

| level | what | numbers |
|---|---|---|
| off | diffusers as it is | |
| exact | one_token, device_frames | the same to the bit |
| fused | exact, and fused_blocks; on a CPU, or on CUDA with Triton | up to rounding |
| auto | fused on a CUDA GPU in 16 bits where Triton works and layers are not offloaded one by one, else exact | |

`svd-lab bench` measures "up to rounding", beside the distance of plain fp16 from fp32. Nothing is approximated: no cached steps,
no fewer steps, no other weights. docs/speed.md has the numbers, and why torch.compile is not among the levels.

A rewrite replaces a module's `forward`: state_dict() stays as it was, and hooks on the whole network (diffusers' model offload)
work. Before `save_pretrained`, and before setting attention processors, adapters or your own torch.compile, turn it "off".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import MethodType
from typing import Any

from svd_lab.language import say
from svd_lab.pipe_facts import device_number, uncompiled

LEVELS = ("auto", "off", "exact", "fused")


@dataclass(frozen=True)
class Rewrite:
    """One named rewrite.

    Attributes:
        bitwise: Whether results are the same to the bit on any device.
        about: What it does.
        put: Puts it on a pipeline and returns a function that takes it off again.
    """

    bitwise: bool
    about: str
    put: Callable[[Any], Callable[[], None]]


def apply(pipe: Any, speed: str | Iterable[str] = "auto") -> tuple[str, ...]:
    """Put a level, or rewrites by name, on a StableVideoDiffusionPipeline, in place of what was on.

    Call it while nothing runs the pipeline.

    Returns:
        The names of the rewrites that are now on.

    Raises:
        ValueError: A level or name is unknown, or "fused" cannot run here; the pipeline is unchanged.
    """
    names = choose(pipe, speed)
    for undo in reversed(getattr(pipe, "_svd_lab_undo", ())):
        undo()
    pipe._svd_lab_undo, pipe._svd_lab_speed = [], ()
    for name in names:
        pipe._svd_lab_undo.append(REWRITES[name].put(pipe))
        pipe._svd_lab_speed += (name,)
    return applied(pipe)


def applied(pipe: Any) -> tuple[str, ...]:
    """Return the names of the rewrites that are on, () for a plain pipeline."""
    return getattr(pipe, "_svd_lab_speed", ())


def level(pipe: Any) -> str:
    """Return the level for a recipe: "fused" where a rewrite is on that rounds differently from diffusers, else "exact"."""
    return "exact" if all(REWRITES[name].bitwise for name in applied(pipe)) else "fused"


def has_blocks(pipe: Any) -> bool:
    """Return whether the fused blocks, which need less memory, are on."""
    return any(name.endswith("_blocks") for name in applied(pipe))


def choose(pipe: Any, speed: str | Iterable[str]) -> tuple[str, ...]:
    """Return the names of the rewrites that `speed` means for this pipeline on its device; raises as `apply`."""
    if not isinstance(speed, str):
        names = tuple(speed)
        unknown = [name for name in names if name not in REWRITES]
        if unknown:
            raise ValueError(
                say(
                    "speed has no rewrite {unknown!r}: give some of {listed}",
                    unknown=unknown[0],
                    listed=", ".join(REWRITES),
                )
            )
        return names
    chosen = resolve(speed, pipe._execution_device, pipe.unet.dtype)
    if chosen == "fused" and streamed(pipe):
        if speed == "fused":
            raise ValueError(
                say(
                    "speed='fused' needs all weights of a block on the GPU, but diffusers moves them there layer "
                    "by layer: give 'exact', or leave speed out"
                )
            )
        chosen = "exact"
    return names_of(chosen)


def names_of(level: str) -> tuple[str, ...]:
    """Return the names of the rewrites of a level that `resolve` returned."""
    return tuple(name for name, rewrite in REWRITES.items() if level != "off" and (rewrite.bitwise or level == "fused"))


def resolve(speed: Any, device: Any, dtype: Any) -> str:
    """Return what a level means on a torch.device in a torch.dtype: "off", "exact" or "fused".

    Raises:
        ValueError: There is no such level, or "fused" is unavailable here.
    """
    if not isinstance(speed, str) or speed not in LEVELS:
        raise ValueError(
            say("speed must be one of {listed}, not {speed!r}", listed=", ".join(map(repr, LEVELS)), speed=speed)
        )
    if speed in ("off", "exact"):
        return speed
    # On a CPU the lessons promise the frames of plain diffusers to the bit: "fused" must be asked for.
    if speed == "auto" and (device.type != "cuda" or dtype.itemsize != 2):
        return "exact"
    trouble = _trouble(device)
    if trouble and speed == "fused":
        raise ValueError(
            say("speed='fused' is unavailable: {trouble}. Leave speed out, or give 'exact' or 'off'", trouble=trouble)
        )
    return "exact" if trouble else "fused"


def fits(level: str, pipe: Any) -> bool:
    """Return whether `apply` would accept the level."""
    try:
        choose(pipe, level)
    except ValueError:
        return False
    return True


def streamed(pipe: Any) -> bool:
    """Return whether weights move layer by layer (sequential offload), so that only a layer's own forward finds them."""
    hook = getattr(uncompiled(pipe.unet).conv_in, "_hf_hook", None)
    return bool(getattr(hook, "offload", False))


def _trouble(device: Any) -> str | None:
    """Why the fused blocks cannot run on a torch.device, or None; on a CPU they run without kernels, in plain PyTorch."""
    if device.type == "cpu":
        return None
    if device.type != "cuda":
        return say("it is for CUDA GPUs and CPUs, and the device is {device}", device=device)
    from svd_lab.performance import fused_ops

    return fused_ops.trouble(device_number(device))


def _set(module: Any, name: str, function: Callable[..., Any]) -> Callable[[], None]:
    """Bind `function` as the module's own `name`; the function returned restores what was there."""
    before = vars(module).get(name)
    setattr(module, name, MethodType(function, module))

    def undo() -> None:
        delattr(module, name)
        if before is not None:
            setattr(module, name, before)

    return undo


def _all(undos: list[Callable[[], None]]) -> Callable[[], None]:
    def undo() -> None:
        for one in reversed(undos):
            one()

    return undo


def _put_one_token(pipe: Any) -> Callable[[], None]:
    from diffusers.models.attention_processor import Attention, AttnProcessor2_0

    def forward(
        self: Any, hidden_states: Any, encoder_hidden_states: Any = None, attention_mask: Any = None, **more: Any
    ) -> Any:
        if encoder_hidden_states is None or encoder_hidden_states.shape[1] != 1 or attention_mask is not None or more:
            return type(self).forward(self, hidden_states, encoder_hidden_states, attention_mask, **more)
        # The same row everywhere, and still a product of all rows: for a single row a CPU sums in another order.
        values = self.to_v(encoder_hidden_states).expand(-1, hidden_states.shape[1], -1)
        return self.to_out[0](values)

    attentions = [
        part
        for name, part in uncompiled(pipe.unet).named_modules()
        if name.endswith("attn2") and type(part) is Attention and type(part.processor) is AttnProcessor2_0
        if part.rescale_output_factor == 1 and not part.residual_connection and not part.norm_cross
    ]
    return _all([_set(part, "forward", forward) for part in attentions])


def _put_device_frames(pipe: Any) -> Callable[[], None]:
    from PIL import Image

    def postprocess_video(self: Any, video: Any, output_type: str = "np", **more: Any) -> Any:
        if output_type != "pil" or more or not video.is_floating_point():
            return type(self).postprocess_video(self, video, output_type, **more)
        videos = []
        for one in video:  # [C, frames, H, W], float32
            pixels = self.postprocess(one.permute(1, 0, 2, 3), "pt").permute(0, 2, 3, 1)
            # As diffusers in NumPy: times 255, half to even; done here, a quarter of the bytes leave the device.
            pixels = (pixels.float() * 255).round().byte().contiguous().cpu().numpy()
            videos.append([Image.fromarray(frame) for frame in pixels])
        return videos

    return _set(pipe.video_processor, "postprocess_video", postprocess_video)


def put_blocks(pipe: Any) -> Callable[[], None]:
    """Put the fused blocks on pipe.unet and pipe.vae.decoder; return a function that takes them off again."""
    import torch
    from diffusers.models.resnet import SpatioTemporalResBlock
    from diffusers.models.transformers.transformer_temporal import TransformerSpatioTemporalModel

    from svd_lab.performance import fused_blocks

    table = {
        SpatioTemporalResBlock: fused_blocks.video_resnet,
        TransformerSpatioTemporalModel: fused_blocks.video_transformer,
    }
    networks = [uncompiled(pipe.unet), uncompiled(pipe.vae).decoder]
    undos = [
        _set(part, "forward", table[type(part)])
        for network in networks
        for part in network.modules()
        if type(part) in table and fused_blocks.fits(part)
    ]
    for network in networks:
        if isinstance(network.conv_act, torch.nn.SiLU):
            undos += [
                _set(network.conv_norm_out, "forward", fused_blocks.last_norm),
                _set(network.conv_act, "forward", fused_blocks.identity),
            ]
        undos.append(_lay_out(network))
    return _all(undos)


def _lay_out(network: Any) -> Callable[[], None]:
    """Lay convolutions' weights out channels last, in place; channels_last for a whole network fails on those over time."""
    import torch

    layouts = {torch.nn.Conv2d: torch.channels_last, torch.nn.Conv3d: torch.channels_last_3d}
    convolutions = [part for part in network.modules() if type(part) in layouts]

    def lay(plain: bool) -> None:
        for part in convolutions:
            layout = torch.contiguous_format if plain else layouts[type(part)]
            part.weight.data = part.weight.data.contiguous(memory_format=layout)

    lay(plain=False)
    return lambda: lay(plain=True)


#: In the order of application.
REWRITES: dict[str, Rewrite] = {
    "one_token": Rewrite(
        True, "cross-attention to the picture's one token without queries and keys: softmax over one key is 1", _put_one_token
    ),
    "device_frames": Rewrite(True, "frames become bytes on the device, before they leave it", _put_device_frames),
    "fused_blocks": Rewrite(
        False, "blocks of UNet and decoder channels last, norms and sums in Triton kernels (fused_blocks, fused_ops)", put_blocks
    ),
}  # fmt: skip
