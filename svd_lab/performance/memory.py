"""Will it fit? Recipes that run SVD on a GPU of any size, the peak of each before anything is loaded, and what to do when it is too
little all the same.

| recipe | where the weights are | costs |
|---|---|---|
| whole | all on the GPU | nothing |
| pieces | all on the GPU; feed-forward layers one frame at a time | about a fifth more time a step |
| blocks | the UNet's blocks come one ahead of the work, and pieces | that, and what the bus is slower than the step |

diffusers' other ways lost on an H100: a network at a time (enable_model_cpu_offload) takes 6.6 GiB and 5.0 s where blocks take
4.6 and 4.7; a layer at a time (enable_sequential_cpu_offload) takes over 8 s a step.

None of them changes a pixel beyond rounding. What would, is left to the caller: fewer frames, a smaller size, a smaller
decode_chunk_size (`advice` names them). VAE slicing is for batches of images, of which there are none; diffusers' pipeline has
neither it nor tiling for SVD: decode_chunk_size is its slicing.

The peak is counted, not measured: the networks are called once on "meta" tensors, which have shapes and no numbers, and every
storage that lives is added up. For the class's recipe on an H100 (10 frames of 1024x576, chunk 2, plain diffusers) it says 7.3 GiB;
7.4 were measured, and 1.125 GiB for a decoded frame, as counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from svd_lab.performance.flops import meter

GIB = 2**30


@dataclass(frozen=True)
class Recipe:
    """One way to run a pipeline. pieces: feed-forward layers frame by frame. blocks: the UNet's blocks wait in main memory."""

    name: str
    about: str
    pieces: bool = False
    blocks: bool = False


#: From fast to frugal.
RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("whole", "all on the GPU"),
        Recipe("pieces", "all on the GPU, feed-forward layers one frame at a time", pieces=True),
        Recipe("blocks", "the blocks of the UNet brought to the GPU one ahead of the work", pieces=True, blocks=True),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Constants:
    """What cannot be counted. Set from measurements: see docs/speed.md, "Memory under a cap".

    context: bytes of a card that CUDA, its libraries and their kernels take beside torch's tensors (0.68 to 0.75 GiB on an H100).
    workspace: bytes that cuDNN and cuBLAS allocate while they work (with it the peak was right to 1%).
    packing: by how much torch's blocks exceed what is in them (1.03 to 1.06 on an H100; 1.17 where
    nothing presses; holes are larger when little is free).
    bus, pinned: bytes a second between main memory and GPU, of plain and of pinned memory.
    pieces: time of a step in pieces over that of a whole one, with fused blocks on an H100.
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
    """What a video asks of the GPU, in bytes. weights: of each network. step, step_pieces, decode, encode: alive at the peak of
    one denoising step, of that in pieces, of decoding a chunk, of encoding the picture, beside the weights. layer: the largest
    layer's weights. pair: of the UNet's largest two blocks in succession, and of what is in none. frames: the decoded frames,
    collected."""

    weights: dict[str, int]
    step: int
    step_pieces: int
    decode: int
    encode: int
    layer: int
    pair: int
    frames: int

    def peak(self, recipe: Recipe, constants: Constants = CONSTANTS) -> float:
        """Bytes that torch has allocated at the peak: torch.cuda.max_memory_allocated. Of "blocks" it is the sum of two peaks, of
        the weights and of the work: they come on another stream, and torch keeps the memory of streams apart."""
        unet, vae, clip = (self.weights[name] for name in ("unet", "vae", "image_encoder"))
        step = self.step_pieces if recipe.pieces else self.step
        held = {"encode": unet + clip, "step": unet + clip, "decode": unet + clip}
        if recipe.blocks:
            held = {"encode": self.layer, "step": self.pair, "decode": 0}
        # The VAE stays, and its fp16 weights are fp32 while the picture is encoded.
        return (
            constants.workspace
            + vae
            + max(held["encode"] + vae + self.encode, held["step"] + step, held["decode"] + self.decode + self.frames)
        )

    def working(self, recipe: Recipe, constants: Constants = CONSTANTS) -> float:
        """Bytes of the peak that are there only while the pipeline runs."""
        stay = self.weights["vae"] if recipe.blocks else sum(self.weights.values())
        return self.peak(recipe, constants) - stay

    def card(self, recipe: Recipe, constants: Constants = CONSTANTS) -> float:
        """Bytes that a card must have free."""
        return self.peak(recipe, constants) * constants.packing + constants.context

    def seconds(self, recipe: Recipe, steps: int, step: float | None = None, constants: Constants = CONSTANTS) -> float:
        """What the recipe costs beside "whole", for so many steps; `step`: seconds of one, where known."""
        extra = (constants.pieces - 1) * steps * (step or 0.0) if recipe.pieces else 0.0
        if recipe.blocks:  # the bus works while the GPU does; step unknown: as long as the bus takes
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
    """The Load of a video of these settings; about two seconds. unet, vae: the configs of the networks, of which "meta" copies are
    made; clip_bytes: of the image encoder's weights; fused: with speed's fused blocks."""
    from types import SimpleNamespace

    import torch
    from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel

    from svd_lab.performance import speed

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
    """Bytes alive at the peak of `call` on meta tensors, without those alive before (see counting.meter)."""
    with meter() as counted:
        call()
    return counted.peak


def choose(need: Load, free: float, memory: str = "auto", constants: Constants = CONSTANTS) -> Recipe:
    """The fastest recipe that fits into `free` bytes, the most frugal one where none does; or the one named."""
    check_name(memory)
    if memory != "auto":
        return RECIPES[memory]
    fitting = (recipe for recipe in RECIPES.values() if need.card(recipe, constants) <= free)
    return next(fitting, RECIPES["blocks"])


def check_name(memory: Any) -> None:
    """ValueError for what names no recipe."""
    if memory != "auto" and (not isinstance(memory, str) or memory not in RECIPES):
        raise ValueError(f"memory must be 'auto' or one of {', '.join(map(repr, RECIPES))}, not {memory!r}")


def sentence(need: Load, recipe: Recipe, free: float, what: str, steps: int = 25, asked: bool = False) -> str:
    """What is chosen, why, and what it costs, in a line to be shown before loading. what: the video that `need` is of."""
    peak, cost = need.card(recipe), need.seconds(recipe, steps)
    why = "as asked" if asked else f"{free / GIB:.1f} GiB are free"
    if not asked and recipe is not RECIPES["whole"]:
        why += f", all at once needs {need.card(RECIPES['whole']) / GIB:.1f}"
    price = f"; it costs about {cost:.0f} s a video of {steps} steps" if cost >= 1 else ""
    price = price or ("; it costs about a fifth of the time" if recipe.pieces else "")
    short = (
        ""
        if peak <= free
        else f". That is more than the {free / GIB:.1f} GiB free: give fewer frames or a smaller size"
    )
    return f"memory: {recipe.name} ({recipe.about}), about {peak / GIB:.1f} GiB for {what}; {why}{price}{short}"
