"""The text mini's networks: a genuine Stable Diffusion at small widths, 11 million parameters, 22 MB in fp16.

Its latents have the video mini's shape: the AutoencoderKL starts from the video VAE's encoder; its own decoder knows no time.
The scheduler is Euler's with Stable Video Diffusion's continuous noise levels (v-prediction, Karras sigmas), so that the first
step starts from noise that hides even the brightness of the picture. [diffusers StableDiffusionPipeline; arXiv 2112.10752;
starting from pure noise: arXiv 2305.08891]
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from svd_lab.training.networks.video import LATENT, WIDTHS_VAE
from svd_lab.training.text.tokenizer import END, LENGTH, SIZE, START, load_tokenizer, write_tokenizer

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, AutoencoderKLTemporalDecoder, EulerDiscreteScheduler, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

WIDTHS, CROSS, TEXT_LAYERS = (128, 128, 96), 128, 4
SIGMA_MIN, SIGMA_MAX = 0.02, 80.0
Widths = tuple[int, ...]


def make_text_unet(widths: Widths = WIDTHS, latent: int = LATENT, cross: int = CROSS) -> UNet2DConditionModel:
    """Make the UNet: noisy latents [n,8,16,28] and a prompt [n,77,128] -> the v-prediction. 6.3 M parameters, 1.9 GFLOP.

    No attention at the top: on a CPU it would cost half as much again as everything else. [measured]
    """
    from diffusers import UNet2DConditionModel

    lower = len(widths) - 1
    return UNet2DConditionModel(
        sample_size=(16, 28), in_channels=latent, out_channels=latent, block_out_channels=widths, layers_per_block=1,
        down_block_types=("DownBlock2D",) + ("CrossAttnDownBlock2D",) * lower, mid_block_type=None,
        up_block_types=("CrossAttnUpBlock2D",) * lower + ("UpBlock2D",), cross_attention_dim=cross,
        attention_head_dim=tuple(c // 32 for c in widths), use_linear_projection=True,
    )  # fmt: skip


def make_text_encoder(hidden: int = CROSS, layers: int = TEXT_LAYERS, size: int = SIZE) -> CLIPTextModel:
    """Make the text encoder: 77 tokens -> 77 vectors. 1.2 M parameters."""
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=size, hidden_size=hidden, intermediate_size=4 * hidden, projection_dim=hidden, num_hidden_layers=layers,
            num_attention_heads=hidden // 32, max_position_embeddings=LENGTH, hidden_act="quick_gelu", bos_token_id=size - 2,
            eos_token_id=size - 1, pad_token_id=size - 1,
        )
    )  # fmt: skip


def make_text_vae(widths: Widths = WIDTHS_VAE, latent: int = LATENT) -> AutoencoderKL:
    """Make the VAE: the video VAE's shape for single pictures. 3.6 M parameters, 2.2 M of them the decoder's."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(widths), up_block_types=("UpDecoderBlock2D",) * len(widths),
        block_out_channels=widths, layers_per_block=1, latent_channels=latent, sample_size=128, scaling_factor=1.0,
        force_upcast=False,
    )  # fmt: skip


@torch.no_grad()
def from_video_vae(video_vae: AutoencoderKLTemporalDecoder, vae: AutoencoderKL | None = None) -> AutoencoderKL:
    """Give an AutoencoderKL the encoder of an AutoencoderKLTemporalDecoder, and those parts of its decoder that have no time.

    What the temporal decoder lacks starts without effect: residual branches at zero, post_quant_conv as the identity.

    Args:
        video_vae: The source.
        vae: To change and return; None: a new one.
    """
    vae = make_text_vae() if vae is None else vae
    source = {k.replace(".spatial_res_block", ""): v for k, v in video_vae.state_dict().items()}
    own = vae.state_dict()
    known = {k: v for k, v in source.items() if k in own and v.shape == own[k].shape}
    vae.load_state_dict(known, strict=False)
    for name, module in vae.decoder.named_modules():
        if hasattr(module, "conv2") and f"decoder.{name}.conv2.weight" not in known:
            nn.init.zeros_(module.conv2.weight)
            nn.init.zeros_(module.conv2.bias)
    nn.init.dirac_(vae.post_quant_conv.weight)
    nn.init.zeros_(vae.post_quant_conv.bias)
    vae.register_to_config(scaling_factor=video_vae.config.scaling_factor)
    return vae


def make_text_scheduler() -> EulerDiscreteScheduler:
    """Make the scheduler: Euler steps over Karras sigmas 80 .. 0.02, continuous timesteps ln(sigma) / 4, v-prediction."""
    from diffusers import EulerDiscreteScheduler

    return EulerDiscreteScheduler(
        num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="v_prediction",
        interpolation_type="linear", use_karras_sigmas=True, sigma_min=SIGMA_MIN, sigma_max=SIGMA_MAX, timestep_spacing="leading",
        timestep_type="continuous", steps_offset=1,
    )  # fmt: skip


def encode_text(encoder: CLIPTextModel, ids: torch.Tensor) -> torch.Tensor:
    """Return `encoder(ids)[0]` [n,77,c] for training, with nothing that a CUDA graph cannot capture.

    No mask is built, and the host is not asked. A test compares it with the genuine forward. [transformers CLIPTextModel]
    """
    text = getattr(encoder, "text_model", encoder)  # transformers 4 has one more level
    x = text.embeddings.token_embedding(ids) + text.embeddings.position_embedding.weight
    n, length, c = x.shape
    for layer in text.encoder.layers:
        a, h = layer.self_attn, layer.layer_norm1(x)
        heads = lambda t: t.view(n, length, -1, 32).transpose(1, 2)  # noqa: E731
        q, k, v = heads(a.q_proj(h)), heads(a.k_proj(h)), heads(a.v_proj(h))
        h = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(n, length, c)
        x = x + a.out_proj(h)
        h = layer.mlp.fc1(layer.layer_norm2(x))
        x = x + layer.mlp.fc2(h * torch.sigmoid(1.702 * h))
    return text.final_layer_norm(x)


def encode_prompts(tokenizer: CLIPTokenizer, prompts: list[str]) -> torch.Tensor:
    """Return token ids [n,77] as StableDiffusionPipeline makes them: cut at 77, filled up with the end token."""
    rust = tokenizer.backend_tokenizer
    rust.enable_truncation(LENGTH)
    rust.enable_padding(length=LENGTH, pad_id=rust.token_to_id(END), pad_token=END)
    return torch.tensor([e.ids for e in rust.encode_batch(prompts)])


@torch.no_grad()
def zero_text_residuals(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """Let every residual branch of the UNet start at zero; returns the UNet."""
    from diffusers.models.attention import BasicTransformerBlock
    from diffusers.models.resnet import ResnetBlock2D

    last = [unet.conv_out]
    for m in unet.modules():
        if isinstance(m, ResnetBlock2D):
            last.append(m.conv2)
        if isinstance(m, BasicTransformerBlock):
            last += [m.attn1.to_out[0], m.attn2.to_out[0], m.ff.net[-1]]
    for m in last:
        nn.init.zeros_(m.weight)
        nn.init.zeros_(m.bias)
    return unet


def save_text_folder(
    path: str | Path,
    vae: AutoencoderKL,
    unet: UNet2DConditionModel,
    encoder: CLIPTextModel,
    tokenizer: dict[str, str] | None = None,
    dtype: torch.dtype = torch.float16,
) -> Path:
    """Write the diffusers layout that `StableDiffusionPipeline.from_pretrained` reads unmodified (safetensors).

    Args:
        path: The folder.
        vae, unet, encoder: The models, which are converted to `dtype`.
        tokenizer: The files that training used (`tokenizer_files`); None fits the vocabulary anew, for untrained models.
        dtype: Of the files.
    """
    path = Path(path)
    for name, model in (("vae", vae), ("unet", unet), ("text_encoder", encoder)):
        for p in model.parameters():
            p.data = p.data.contiguous()
        model.to(dtype).save_pretrained(path / name, safe_serialization=True)
    make_text_scheduler().save_pretrained(path / "scheduler")
    put_tokenizer(path / "tokenizer", tokenizer)
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.42.1",
        "feature_extractor": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "image_encoder": [None, None],
        "scheduler": ["diffusers", "EulerDiscreteScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (path / "model_index.json").write_text(json.dumps(index, indent=1) + "\n")
    return path


def tokenizer_files(folder: str | Path) -> dict[str, str]:
    """Return the tokenizer's files by name: every checkpoint has them, since other words or libraries give another vocabulary."""
    return {f.name: f.read_text(encoding="utf-8") for f in sorted(Path(folder).iterdir())}


def put_tokenizer(folder: str | Path, files: dict[str, str] | None = None) -> Path:
    """Write these files; without any, fit the vocabulary anew."""
    folder = Path(folder)
    if not files:
        return write_tokenizer(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def tokenizer_for_training(folder: str | Path, files: dict[str, str] | None = None) -> CLIPTokenizer:
    """Return the tokenizer, which is written to `folder` first. Raises RuntimeError if its size is not the text encoder's."""
    tokenizer = load_tokenizer(put_tokenizer(folder, files))
    if len(tokenizer) != SIZE or tokenizer.convert_tokens_to_ids([START, END]) != [SIZE - 2, SIZE - 1]:
        raise RuntimeError(
            f"the vocabulary has {len(tokenizer)} tokens, the text encoder {SIZE}: change tokenizer.SIZE"
        )
    return tokenizer
