"""The mini's networks: the genuine diffusers and transformers classes, at small widths; and the folder that holds them.

SVD's classes hard-wire GroupNorm with 32 groups, so no width is below 64. The frame index enters only through the temporal
transformer blocks, so every level of the UNet has attention. [diffusers AutoencoderKLTemporalDecoder,
UNetSpatioTemporalConditionModel; arXiv 2311.15127 appendix]
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from diffusers import AutoencoderKLTemporalDecoder, EulerDiscreteScheduler, UNetSpatioTemporalConditionModel
    from transformers import CLIPVisionModelWithProjection

Widths = tuple[int, ...]
State = dict[str, torch.Tensor]  # weights by name
LATENT = 8  # latent channels; Stable Video Diffusion has 4
WIDTHS_VAE, WIDTHS_UNET, CROSS = (64, 64, 96, 128), (64, 128, 128), 64
LARGE_WIDTHS_VAE, LARGE_LATENT = (32, 32, 64, 96, 128), 16  # for 448 x 256 pixels, with cells of 16 x 16
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
PREPROCESSOR = dict(
    crop_size=dict(height=224, width=224), do_center_crop=True, do_convert_rgb=True, do_normalize=True, do_rescale=True,
    do_resize=True, feature_extractor_type="CLIPImageProcessor", image_mean=list(CLIP_MEAN), image_std=list(CLIP_STD),
    image_processor_type="CLIPImageProcessor", resample=3, rescale_factor=1 / 255, size=dict(shortest_edge=224),
)  # fmt: skip


def make_vae(widths: Widths = WIDTHS_VAE, latent: int = LATENT) -> AutoencoderKLTemporalDecoder:
    """Make the VAE: 8 x 8 pixels -> one cell of `latent` numbers and back; the decoder sees time. 3.8 M parameters."""
    from diffusers import AutoencoderKLTemporalDecoder

    return AutoencoderKLTemporalDecoder(
        down_block_types=("DownEncoderBlock2D",) * len(widths), block_out_channels=widths, layers_per_block=1,
        latent_channels=latent, sample_size=128, scaling_factor=1.0, force_upcast=False,
    )  # fmt: skip


def vae_of(state: State) -> AutoencoderKLTemporalDecoder:
    """Make a VAE of the shape of these weights, and load them."""
    levels = len({name.split(".")[2] for name in state if name.startswith("encoder.down_blocks.")})
    widths = tuple(len(state[f"encoder.down_blocks.{i}.resnets.0.conv1.weight"]) for i in range(levels))
    vae = make_vae(widths, len(state["quant_conv.weight"]) // 2)
    vae.load_state_dict({name: value.float() for name, value in state.items()})
    return vae


def make_unet(
    widths: Widths = WIDTHS_UNET, latent: int = LATENT, cross: int = CROSS
) -> UNetSpatioTemporalConditionModel:
    """Make the UNet: noisy latents beside the picture's latents -> the v-prediction of 14 frames. 13.2 M parameters."""
    from diffusers import UNetSpatioTemporalConditionModel

    return UNetSpatioTemporalConditionModel(
        sample_size=28, in_channels=2 * latent, out_channels=latent, block_out_channels=widths, layers_per_block=1,
        down_block_types=("CrossAttnDownBlockSpatioTemporal",) * len(widths),
        up_block_types=("CrossAttnUpBlockSpatioTemporal",) * len(widths), addition_time_embed_dim=32,
        projection_class_embeddings_input_dim=96, cross_attention_dim=cross, transformer_layers_per_block=1,
        num_attention_heads=tuple(c // 32 for c in widths), num_frames=14,
    )  # fmt: skip


def unet_of(state: State) -> UNetSpatioTemporalConditionModel:
    """Make a UNet with as many latent channels as these weights have, and load them."""
    unet = make_unet(latent=len(state["conv_out.weight"]))
    unet.load_state_dict({name: value.float() for name, value in state.items()})
    return unet


def widened(state: State, latent: int) -> State:
    """Widen a UNet's weights to `latent` channels: it does with the first ones what it did, and predicts 0 for the others."""
    weight, out = state["conv_in.weight"], state["conv_out.weight"]
    old = len(out)
    if old == latent:
        return state
    wide = weight.new_zeros(len(weight), 2 * latent, *weight.shape[2:])
    wide[:, :old], wide[:, latent : latent + old] = weight[:, :old], weight[:, old:]  # noisy latents, the picture's
    more = lambda t: torch.cat([t, t.new_zeros(latent - old, *t.shape[1:])])  # noqa: E731
    ends = {"conv_in.weight": wide, "conv_out.weight": more(out), "conv_out.bias": more(state["conv_out.bias"])}
    return state | ends


def make_clip(
    hidden: int = 128, layers: int = 5, patch: int = 14, projection: int = CROSS
) -> CLIPVisionModelWithProjection:
    """Make the image encoder: the picture at 224 x 224 -> one vector that says what moves how. 1.1 M parameters.

    Patches of 14 pixels with 5 layers have as many parameters as patches of 28 with 4, and see four times as finely (docs/mini.md).
    """
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=hidden, intermediate_size=4 * hidden, projection_dim=projection, num_hidden_layers=layers,
            num_attention_heads=hidden // 32, image_size=224, patch_size=patch,
        )
    )  # fmt: skip


def clip_of(state: State) -> CLIPVisionModelWithProjection:
    """Make an image encoder of the shape of these weights, and load them."""
    hidden, _, patch, _ = state["vision_model.embeddings.patch_embedding.weight"].shape
    layers = len({name.split(".")[3] for name in state if name.startswith("vision_model.encoder.layers.")})
    clip = make_clip(hidden, layers, patch, len(state["visual_projection.weight"]))
    clip.load_state_dict({name: value.float() for name, value in state.items()})
    return clip


def make_scheduler() -> EulerDiscreteScheduler:
    """Make the scheduler: Stable Video Diffusion's, but with Karras sigmas of 80 .. 0.02 instead of 700 .. 0.002.

    How much noise hides a picture grows with its side, and the mini's is a fifth of SVD's: with 700 the first four of ten steps
    saw nothing but noise. From 80 those steps do work, in particular where the guidance of the last frames overshoots
    (docs/mini.md has the measure).
    """
    from diffusers import EulerDiscreteScheduler

    return EulerDiscreteScheduler(
        num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="v_prediction",
        interpolation_type="linear", use_karras_sigmas=True, sigma_min=0.02, sigma_max=80.0, timestep_spacing="leading",
        timestep_type="continuous", steps_offset=1,
    )  # fmt: skip


@torch.no_grad()
def zero_residuals(unet: UNetSpatioTemporalConditionModel) -> UNetSpatioTemporalConditionModel:
    """Let every residual branch start at zero, so that the untrained UNet passes its input through; returns the UNet."""
    from diffusers.models.attention import BasicTransformerBlock, TemporalBasicTransformerBlock
    from diffusers.models.resnet import ResnetBlock2D, TemporalResnetBlock

    last = [unet.conv_out]
    for m in unet.modules():
        if isinstance(m, ResnetBlock2D | TemporalResnetBlock):
            last.append(m.conv2)
        if isinstance(m, BasicTransformerBlock | TemporalBasicTransformerBlock):
            last += [a.to_out[0] for a in (m.attn1, m.attn2) if a is not None] + [m.ff.net[-1]]
    for m in last:
        nn.init.zeros_(m.weight)
        nn.init.zeros_(m.bias)
    return unet


def save_folder(
    path: str | Path,
    vae: AutoencoderKLTemporalDecoder,
    unet: UNetSpatioTemporalConditionModel,
    clip: CLIPVisionModelWithProjection,
    dtype: torch.dtype = torch.float16,
) -> Path:
    """Write the diffusers layout that `StableVideoDiffusionPipeline.from_pretrained` reads unmodified (safetensors, `dtype`)."""
    path = Path(path)
    for name, model in (("vae", vae), ("unet", unet), ("image_encoder", clip)):
        for p in model.parameters():
            p.data = p.data.contiguous()
        model.to(dtype).save_pretrained(path / name, safe_serialization=True)
    make_scheduler().save_pretrained(path / "scheduler")
    (path / "feature_extractor").mkdir(exist_ok=True)
    (path / "feature_extractor" / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=1) + "\n")
    index = {
        "_class_name": "StableVideoDiffusionPipeline",
        "_diffusers_version": "0.42.1",
        "feature_extractor": ["transformers", "CLIPImageProcessor"],
        "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
        "scheduler": ["diffusers", "EulerDiscreteScheduler"],
        "unet": ["diffusers", "UNetSpatioTemporalConditionModel"],
        "vae": ["diffusers", "AutoencoderKLTemporalDecoder"],
    }
    (path / "model_index.json").write_text(json.dumps(index, indent=1) + "\n")
    return path
