"""Will it fit? Ways to place SVD in the memory of a GPU of any size, and the peak of each, known before anything is loaded.

| placement | where the weights are | costs |
|---|---|---|
| whole | all on the GPU | nothing |
| pieces | all on the GPU; feed-forward layers one frame at a time | about a fifth more time a step |
| blocks | in main memory; the UNet's blocks are prefetched one ahead; also pieces | as above, and transfers slower than a step |

diffusers' other ways lost on an H100: a network at a time (enable_model_cpu_offload) takes 6.6 GiB and 5.0 s where blocks take
4.6 and 4.7; a layer at a time (enable_sequential_cpu_offload) takes over 8 s a step.

No placement changes a pixel beyond rounding. What does is left to the caller: fewer frames, a smaller size, a smaller
decode_chunk_size (`out_of_memory.advice` names them). VAE slicing is for batches of images, which do not occur here; diffusers'
pipeline has neither slicing nor tiling for SVD: decode_chunk_size is its slicing.

The peak is counted, not measured: the networks are called once on "meta" tensors, which have shapes but no data, and the sizes of
all live storages are added up. For the lessons' call on an H100 (10 frames of 1024x576, chunk 2, plain diffusers) the count is
7.3 GiB; 7.4 were measured, and 1.125 GiB for a decoded frame, as counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from svd_lab.language import mark, say
from svd_lab.performance import speed
from svd_lab.performance.flops import meter

GIB = 2**30


@dataclass(frozen=True)
class Placement:
    """One way to place a pipeline in memory.

    Attributes:
        name: As `memory=` takes it.
        about: What it does, for messages.
        pieces: Whether feed-forward layers run one frame at a time.
        blocks: Whether the UNet's blocks wait in main memory.
    """

    name: str
    about: str
    pieces: bool = False
    blocks: bool = False


#: From fastest to most frugal.
PLACEMENTS = {
    placement.name: placement
    for placement in (
        Placement("whole", mark("all on the GPU")),
        Placement("pieces", mark("all on the GPU, feed-forward layers one frame at a time"), pieces=True),
        Placement("blocks", mark("the UNet's blocks moved to the GPU one ahead of use"), pieces=True, blocks=True),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Constants:
    """What cannot be counted, from measurements: see docs/speed.md, "Memory under a cap".

    Attributes:
        context: Bytes of a card that CUDA, its libraries and kernels take beside torch's tensors (0.68 to 0.75 GiB on an H100).
        workspace: Bytes that cuDNN and cuBLAS allocate while they work (with it the peak was right to 1%).
        packing: Ratio of torch's reserved memory to what is allocated in it (1.03 to 1.06 on an H100; 1.17 without pressure;
            fragmentation grows when little is free).
        bus: Bytes a second between main memory and GPU, of pageable memory.
        pinned: The same, of pinned memory.
        pieces: Time of a step in pieces over that of a whole one, with fused blocks on an H100.
    """

    context: float = 0.75 * GIB
    workspace: float = 0.10 * GIB
    packing: float = 1.12
    bus: float = 8e9
    pinned: float = 12e9
    pieces: float = 1.2


CONSTANTS = Constants()


@dataclass(frozen=True)
class Load:
    """What a video needs of the GPU, in bytes.

    Attributes:
        weights: Of each network, by name.
        step: Live at the peak of one denoising step, beside the weights.
        step_pieces: The same for a step in pieces.
        decode: The same for decoding a chunk.
        encode: The same for encoding the picture.
        layer: Weights of the largest layer.
        pair: Weights of the UNet's two largest successive blocks, and of all that is in no block.
        frames: The decoded frames, collected.
    """

    weights: dict[str, int]
    step: int
    step_pieces: int
    decode: int
    encode: int
    layer: int
    pair: int
    frames: int

    def peak(self, placement: Placement, constants: Constants = CONSTANTS) -> float:
        """Return the bytes that torch has allocated at the peak, as torch.cuda.max_memory_allocated reports them.

        For "blocks" it is the sum of two peaks, of weights and of work: the weights arrive on another stream, and torch keeps the
        memory of streams apart.
        """
        unet, vae, clip = (self.weights[name] for name in ("unet", "vae", "image_encoder"))
        step = self.step_pieces if placement.pieces else self.step
        held = {"encode": unet + clip, "step": unet + clip, "decode": unet + clip}
        if placement.blocks:
            held = {"encode": self.layer, "step": self.pair, "decode": 0}
        # The VAE stays, and its fp16 weights are fp32 while the picture is encoded.
        return (
            constants.workspace
            + vae
            + max(held["encode"] + vae + self.encode, held["step"] + step, held["decode"] + self.decode + self.frames)
        )

    def working(self, placement: Placement, constants: Constants = CONSTANTS) -> float:
        """Return the bytes of the peak that are taken only while the pipeline runs."""
        stay = self.weights["vae"] if placement.blocks else sum(self.weights.values())
        return self.peak(placement, constants) - stay

    def card(self, placement: Placement, constants: Constants = CONSTANTS) -> float:
        """Return the bytes that a card must have free."""
        return self.peak(placement, constants) * constants.packing + constants.context

    def seconds(
        self, placement: Placement, steps: int, step: float | None = None, constants: Constants = CONSTANTS
    ) -> float:
        """Return the seconds that a video of `steps` steps takes beyond "whole"; `step`: seconds of one step, where known."""
        extra = (constants.pieces - 1) * steps * (step or 0.0) if placement.pieces else 0.0
        if (
            placement.blocks
        ):  # transfers overlap with computing; where a step's time is unknown, all of the transfer counts
            late = max(0.0, self.weights["unet"] / constants.pinned - (step or 0.0))
            extra += steps * late + self.weights["image_encoder"] / constants.bus
        return extra


def load(
    unet: Any,
    vae: Any,
    clip_bytes: int,
    dtype: Any,
    *,
    num_frames: int,
    decode_chunk_size: int,
    height: int,
    width: int,
    fused: bool,
) -> Load:
    """Count the Load of a video with these settings; takes about two seconds.

    Args:
        unet: The UNet's config, from which a copy on "meta" is made.
        vae: The VAE's config, likewise.
        clip_bytes: Bytes of the image encoder's weights.
        dtype: The torch.dtype of the weights.
        num_frames: Frames of the video.
        decode_chunk_size: Frames decoded at once.
        height: Pixels.
        width: Pixels.
        fused: Whether speed's fused blocks are on.
    """
    from types import SimpleNamespace

    import torch
    from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel

    with torch.device("meta"):
        unet = UNetSpatioTemporalConditionModel.from_config(unet).eval().to("meta")
        vae = AutoencoderKLTemporalDecoder.from_config(vae).eval().to("meta")
    item, scale = dtype.itemsize, 2 ** (len(vae.config.block_out_channels) - 1)
    h, w, chunk = height // scale, width // scale, min(decode_chunk_size, num_frames)
    if fused:
        speed.put_blocks(SimpleNamespace(unet=unet, vae=vae))

    def zeros(*shape: int) -> Any:
        return torch.zeros(shape, device="meta")

    def step() -> None:
        sample = zeros(2, num_frames, unet.config.in_channels, h, w)
        token = zeros(2, 1, unet.config.cross_attention_dim)
        unet(sample, zeros(), token, added_time_ids=zeros(2, 3), return_dict=False)

    half = item / 4  # counted in float32
    whole = peak_bytes(step) * half
    decode = peak_bytes(lambda: vae.decode(zeros(chunk, vae.config.latent_channels, h, w), num_frames=chunk)) * half
    upcast = 1.0 if vae.config.force_upcast else half
    encode = peak_bytes(lambda: vae.encode(zeros(1, vae.config.in_channels, height, width))) * upcast
    unet.enable_forward_chunking()
    pieces = peak_bytes(step) * half
    weights = {name: sum(p.numel() for p in part.parameters()) * item for name, part in (("unet", unet), ("vae", vae))}
    layer = max(sum(p.numel() for p in part.parameters(recurse=False)) for part in unet.modules()) * item
    blocks = [sum(p.numel() for p in block.parameters()) * item for block in (*unet.down_blocks, *unet.up_blocks)]
    pair = max(a + b for a, b in pairwise((0, *blocks))) + weights["unet"] - sum(blocks)
    frames = num_frames * height * width * 3 * (2 * item + 4)  # in a list, joined, and as float32
    return Load(
        weights | {"image_encoder": clip_bytes}, *map(int, (whole, pieces, decode, encode, layer, pair, frames))
    )


def peak_bytes(call: Callable[[], object]) -> int:
    """Return the bytes live at the peak of `call` on meta tensors, beyond those live before (see `flops.meter`)."""
    with meter() as counted:
        call()
    return counted.peak


def choose(need: Load, free: float, memory: str = "auto", constants: Constants = CONSTANTS) -> Placement:
    """Return the placement named by `memory`; for "auto" the fastest that fits into `free` bytes, else the most frugal."""
    check_name(memory)
    if memory != "auto":
        return PLACEMENTS[memory]
    fitting = (placement for placement in PLACEMENTS.values() if need.card(placement, constants) <= free)
    return next(fitting, PLACEMENTS["blocks"])


def check_name(memory: Any) -> None:
    """Raise ValueError unless `memory` is "auto" or names a placement."""
    if memory != "auto" and (not isinstance(memory, str) or memory not in PLACEMENTS):
        raise ValueError(
            say(
                "memory must be 'auto' or one of {listed}, not {memory!r}",
                listed=", ".join(map(repr, PLACEMENTS)),
                memory=memory,
            )
        )


def sentence(need: Load, placement: Placement, free: float, what: str, steps: int = 25, asked: bool = False) -> str:
    """Describe the chosen placement in a line, to be shown before loading.

    Args:
        need: What the video needs.
        placement: The chosen one.
        free: Bytes free on the GPU.
        what: The video in words.
        steps: Its number of steps.
        asked: Whether the user named the placement.

    Returns:
        Which placement, why, and its price in time; also a warning where even this one does not fit.
    """
    peak, cost = need.card(placement), need.seconds(placement, steps)
    why = say("as asked") if asked else say("{free:.1f} GiB are free", free=free / GIB)
    if not asked and placement is not PLACEMENTS["whole"]:
        why += say(", all at once needs {card:.1f}", card=need.card(PLACEMENTS["whole"]) / GIB)
    price = say("; it costs about {cost:.0f} s a video of {steps} steps", cost=cost, steps=steps) if cost >= 1 else ""
    price = price or (say("; it costs about a fifth of the time") if placement.pieces else "")
    short = (
        ""
        if peak <= free
        else say(". That is more than the {free:.1f} GiB free: give fewer frames or a smaller size", free=free / GIB)
    )
    return say(
        "memory: {name} ({about}), about {peak:.1f} GiB for {what}; {why}{price}{short}",
        name=placement.name,
        about=say(placement.about),
        peak=peak / GIB,
        what=what,
        why=why,
        price=price,
        short=short,
    )
