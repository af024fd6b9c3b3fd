"""A tiny Stable Video Diffusion and a tiny Stable Diffusion with random weights, in the full folder layout, made once a session.

Widths are 32 and 64 (GroupNorm has 32 groups), one layer a block, 96x64 pixels, 4 latent channels: the same classes and the
same code path as the real model, in a fraction of a second a video.
"""

import contextlib
import ctypes
import gc
import json
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: waiting threads must not spin on shared cores
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test reaches for the internet
os.environ.pop("PYTEST_ADDOPTS", None)  # read by now; a pytest that a test starts (nbval's) must not have it, too

import pytest
import torch
from helpers import TINY_SIZE, make_picture


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch):
    """What a test finds depends neither on the tester's SVD_LAB_MODELS nor on a language, the machine's or a lesson's."""
    monkeypatch.delenv("SVD_LAB_MODELS", raising=False)
    for name in ("SVD_LAB_LANGUAGE", "JPY_SESSION_NAME", "LANGUAGE", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")


@pytest.fixture(autouse=True)
def return_memory():
    """Return freed memory to the system after each test: glibc keeps it in pieces, and the process would grow to 4 GiB."""
    yield
    gc.collect(0)
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """The folder of the tiny model, fp32 weights. Read it; copy it before changing anything."""
    from diffusers import AutoencoderKLTemporalDecoder, StableVideoDiffusionPipeline, UNetSpatioTemporalConditionModel
    from full_size import video_scheduler
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

    state = torch.get_rng_state()
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "tiny-svd"
    pipe = StableVideoDiffusionPipeline(
        vae=AutoencoderKLTemporalDecoder(
            down_block_types=("DownEncoderBlock2D",) * 3,
            block_out_channels=(32, 32, 64),
            layers_per_block=1,
            latent_channels=4,
            sample_size=TINY_SIZE[1],
            force_upcast=True,
        ),
        image_encoder=CLIPVisionModelWithProjection(
            CLIPVisionConfig(
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=1,
                num_attention_heads=2,
                projection_dim=32,
                patch_size=32,
            )
        ),
        unet=UNetSpatioTemporalConditionModel(
            sample_size=TINY_SIZE[0] // 4,
            in_channels=8,
            out_channels=4,
            down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
            up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
            block_out_channels=(32, 64),
            addition_time_embed_dim=32,
            projection_class_embeddings_input_dim=96,
            layers_per_block=1,
            cross_attention_dim=32,
            num_attention_heads=(1, 2),
            num_frames=14,
        ),
        scheduler=video_scheduler(),
        feature_extractor=CLIPImageProcessor(),
    )
    pipe.save_pretrained(folder)
    torch.set_rng_state(state)
    # transformers without torchvision writes another class name; published folders have this one.
    index_file = folder / "model_index.json"
    index = json.loads(index_file.read_text())
    index["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
    index_file.write_text(json.dumps(index))
    return folder


@pytest.fixture(scope="session")
def tiny_pipe(tiny_folder):
    """The tiny pipeline as load_video_pipeline makes it, on the CPU. A test leaves it as it was."""
    from svd_lab import load_video_pipeline

    pipe = load_video_pipeline(tiny_folder, device="cpu")
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="session")
def tiny_image_folder(tmp_path_factory):
    """The folder of a tiny Stable Diffusion for images of TINY_SIZE, laid out as SD 2.1 base: vocab.json and merges.txt, a PNDM
    scheduler, no safety checker. Its vocabulary is learnt here from three lines. Read it; copy it before changing anything."""
    from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    lines = ["a photograph of an astronaut riding a horse", "an aerial view of a city at night", "a red rocket"] * 5
    tokenizer.train_from_iterator(
        lines, trainers.BpeTrainer(vocab_size=600, initial_alphabet=letters, show_progress=False)
    )
    learnt = json.loads(tokenizer.to_str())["model"]
    merges = [" ".join(merge) for merge in learnt["merges"]]
    words = [*letters, *(letter + "</w>" for letter in letters), *(merge.replace(" ", "") for merge in merges)]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    vocabulary |= {"<|startoftext|>": len(vocabulary), "<|endoftext|>": len(vocabulary) + 1}
    files = tmp_path_factory.mktemp("tokenizer")
    (files / "vocab.json").write_text(json.dumps(vocabulary))
    (files / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]))
    tokenizer = CLIPTokenizer(str(files / "vocab.json"), str(files / "merges.txt"), model_max_length=77)

    state = torch.get_rng_state()
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "tiny-sd"
    StableDiffusionPipeline(
        vae=AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            block_out_channels=(32, 32, 64),
            layers_per_block=1,
            latent_channels=4,
            sample_size=TINY_SIZE[1],
        ),
        text_encoder=CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(vocabulary),
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=1,
                num_attention_heads=2,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        ),
        tokenizer=tokenizer,
        unet=UNet2DConditionModel(
            sample_size=(TINY_SIZE[1] // 4, TINY_SIZE[0] // 4),
            in_channels=4,
            out_channels=4,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            block_out_channels=(32, 64),
            layers_per_block=1,
            cross_attention_dim=32,
            attention_head_dim=2,
        ),
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
    ).save_pretrained(folder)
    torch.set_rng_state(state)
    (folder / "tokenizer" / "tokenizer.json").unlink(missing_ok=True)  # SD 2.1 has the two older files
    for file in files.iterdir():
        (folder / "tokenizer" / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.fixture(scope="session")
def tiny_image_pipe(tiny_image_folder):
    """The tiny text-to-image pipeline as load_image_pipeline makes it, on the CPU. A test leaves it as it was."""
    from svd_lab import load_image_pipeline

    pipe = load_image_pipeline(tiny_image_folder, device="cpu")
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="session")
def picture_file(tmp_path_factory):
    """A PNG of exactly the tiny model's size."""
    path = tmp_path_factory.mktemp("pictures") / "rocket.png"
    make_picture().save(path)
    return path


@pytest.fixture
def model_calls(tiny_pipe):
    """Counts every run of a network of the tiny pipeline, whoever starts it: {"image_encoder": 0, "vae": 0, "unet": 0}."""
    calls = {"image_encoder": 0, "vae": 0, "unet": 0}

    def count(name):
        def hook(*_):
            calls[name] += 1

        return hook

    watched = {
        "image_encoder": [tiny_pipe.image_encoder],
        "vae": [tiny_pipe.vae.encoder, tiny_pipe.vae.decoder],
        "unet": [tiny_pipe.unet],
    }
    hooks = [module.register_forward_pre_hook(count(name)) for name, modules in watched.items() for module in modules]
    yield calls
    for hook in hooks:
        hook.remove()


@pytest.fixture
def no_hub(monkeypatch):
    """An empty Hub cache, and a Hub that fails as it does without a network; the ids that it was asked for."""
    from diffusers import StableDiffusionPipeline, StableVideoDiffusionPipeline
    from huggingface_hub import errors

    from svd_lab.models import checkpoints

    asked = []

    def download(hub_id, **_):
        asked.append(hub_id)
        raise OSError(f"Cannot load model {hub_id}") from errors.LocalEntryNotFoundError("no network")

    monkeypatch.setattr(checkpoints, "cached_folder", lambda hub_id: None)
    for pipeline in (StableDiffusionPipeline, StableVideoDiffusionPipeline):
        monkeypatch.setattr(pipeline, "download", download)
    return asked
