"""Full-size folders of SVD and SD 2.1 base for rehearsals without downloads: true configs, random fp16 weights.

    python tests/full_size.py FOLDER                       # svd, svd-xt and sd21: 4.5 + 4.5 + 2.6 GB, under a minute with a GPU
    SVD_LAB_MODELS=FOLDER svd-lab bench --model svd

The layout is that of the published checkpoints: safetensors of variant fp16, one file a part, the scheduler configs, the class
names. The networks take the time and memory of the real ones, and every number stays finite; the output is noise. The tokenizer
knows only a few words. `--small` makes the same folders with narrow networks, for a CPU.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

PARTS = ("svd", "svd-xt", "sd21")
NARROW = {320: 32, 640: 64, 1280: 64, 128: 32, 256: 32, 512: 64}  # of --small


def video_scheduler() -> Any:
    """Return Stable Video Diffusion's scheduler, with its published config."""
    from diffusers import EulerDiscreteScheduler

    return EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        interpolation_type="linear",
        timestep_type="continuous",
        timestep_spacing="leading",
        use_karras_sigmas=True,
        sigma_min=0.002,
        sigma_max=700.0,
        steps_offset=1,
    )


def video_pipeline(frames: int, small: bool) -> Any:
    """Return stabilityai/stable-video-diffusion-img2vid (14 frames) or -xt (25) on "meta", without weights."""
    from diffusers import AutoencoderKLTemporalDecoder, StableVideoDiffusionPipeline, UNetSpatioTemporalConditionModel
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

    widths, vae_widths = _widths((320, 640, 1280, 1280), small), _widths((128, 256, 512, 512), small)
    clip: dict[str, Any] = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "patch_size": 14}
    clip |= {"num_attention_heads": 16, "projection_dim": 1024, "hidden_act": "gelu", "image_size": 224}
    if small:
        clip |= {
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "projection_dim": 32,
        }
    with torch.device("meta"):
        networks = dict(
            vae=AutoencoderKLTemporalDecoder(
                down_block_types=("DownEncoderBlock2D",) * 4,
                block_out_channels=vae_widths,
                layers_per_block=2,
                latent_channels=4,
                sample_size=768,
                force_upcast=True,
            ),
            image_encoder=CLIPVisionModelWithProjection(CLIPVisionConfig(**clip)),
            unet=UNetSpatioTemporalConditionModel(
                sample_size=96,
                in_channels=8,
                out_channels=4,
                block_out_channels=widths,
                addition_time_embed_dim=256,
                projection_class_embeddings_input_dim=768,
                layers_per_block=2,
                cross_attention_dim=clip["projection_dim"],
                num_attention_heads=(1, 2, 2, 2) if small else (5, 10, 20, 20),
                num_frames=frames,
            ),
        )
    return StableVideoDiffusionPipeline(
        **networks,
        scheduler=video_scheduler(),
        feature_extractor=CLIPImageProcessor(),
    )


def image_pipeline(small: bool) -> Any:
    """Return stable-diffusion-2-1-base on "meta", without weights; `save` writes its tokenizer."""
    from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    text: dict[str, Any] = {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 23,
        "vocab_size": 49408,
    }
    text |= {"num_attention_heads": 16, "projection_dim": 512, "hidden_act": "gelu", "max_position_embeddings": 77}
    if small:
        text |= {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    with torch.device("meta"):
        networks = dict(
            vae=AutoencoderKL(
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
                block_out_channels=_widths((128, 256, 512, 512), small),
                layers_per_block=2,
                latent_channels=4,
                sample_size=768,
            ),
            text_encoder=CLIPTextModel(CLIPTextConfig(**text)),
            unet=UNet2DConditionModel(
                sample_size=64,
                block_out_channels=_widths((320, 640, 1280, 1280), small),
                cross_attention_dim=text["hidden_size"],
                attention_head_dim=[2, 2, 2, 2] if small else [5, 10, 20, 20],
                use_linear_projection=True,
            ),
        )
    return StableDiffusionPipeline(
        **networks,
        tokenizer=None,
        scheduler=PNDMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            skip_prk_steps=True,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def fill(network: torch.nn.Module, device: torch.device, seed: int) -> torch.nn.Module:
    """Draw random fp16 weights on a device, scaled to preserve the size of activations.

    Linear and convolutional weights have variance 1 / fan-in, norms are 1 and 0, blends of space and time (mix_factor) are near
    a half; the last layer of each block is a third of that, so that fp16 does not overflow, however many blocks there are.
    """
    generator = torch.Generator(device).manual_seed(seed)
    network = network.to_empty(device=device).half()
    for name, tensor in network.named_parameters():
        if tensor.dim() > 1:
            last = any(part in name for part in ("conv2.weight", "to_out", "net.2", "proj_out", "fc2", "out_proj"))
            scale = tensor[0].numel() ** -0.5 * (0.3 if last else 1.0)
            tensor.data.normal_(0, scale, generator=generator)
        elif "mix_factor" in name or "class_embedding" in name:
            tensor.data.normal_(0, 0.5, generator=generator)
        else:
            tensor.data.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
    for name, buffer in network.named_buffers():
        if name.endswith("position_ids"):
            buffer.copy_(torch.arange(buffer.numel(), device=device).view(buffer.shape))
    return network.eval()


def save(pipe: Any, folder: Path, device: torch.device, seed: int = 0) -> None:
    """Fill and write one network after another, then the configs, as diffusers writes them."""
    for number, (name, part) in enumerate(sorted(pipe.components.items())):
        if isinstance(part, torch.nn.Module):
            fill(part, device, seed + number).save_pretrained(folder / name, variant="fp16", max_shard_size="100GB")
            part.to("meta")  # frees the memory
        elif part is not None:
            part.save_pretrained(folder / name)
    index = {"_class_name": type(pipe).__name__, "_diffusers_version": "0.24.0"}
    for name, part in pipe.components.items():
        library = None if part is None else type(part).__module__.split(".")[0]
        index[name] = [library, None if part is None else type(part).__name__.removesuffix("Pil")]
    if "tokenizer" in index:
        index |= {"tokenizer": ["transformers", "CLIPTokenizer"], "requires_safety_checker": False}
        write_tokenizer(folder / "tokenizer")
    (folder / "model_index.json").write_text(json.dumps(index, indent=2))


def write_tokenizer(folder: Path) -> None:
    """Write a CLIPTokenizer that knows a few words, with SD 2.1's ids for start and end."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer = normalizers.Lowercase()
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    lines = ["a photograph of an astronaut riding a horse", "an aerial view of a city at night, long exposure"] * 5
    learner.train_from_iterator(
        lines, trainers.BpeTrainer(vocab_size=600, initial_alphabet=letters, show_progress=False)
    )
    merges = [" ".join(merge) for merge in json.loads(learner.to_str())["model"]["merges"]]
    words = [*letters, *(letter + "</w>" for letter in letters), *(merge.replace(" ", "") for merge in merges)]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    vocabulary |= {"<|startoftext|>": 49406, "<|endoftext|>": 49407}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]))
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True, "errors": "replace"}
    config |= {
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "!",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def _widths(widths: tuple[int, ...], small: bool) -> tuple[int, ...]:
    return tuple(NARROW[width] for width in widths) if small else widths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--small", action="store_true", help="narrow networks, for a CPU")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for model in options.models:
        start = time.perf_counter()
        pipe = (
            image_pipeline(options.small)
            if model == "sd21"
            else video_pipeline({"svd": 14, "svd-xt": 25}[model], options.small)
        )
        save(pipe, options.folder / model, device)
        size = sum(path.stat().st_size for path in (options.folder / model).rglob("*") if path.is_file())
        print(f"{options.folder / model}: {size / 1e9:.2f} GB in {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
