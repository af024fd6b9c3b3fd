"""load_video_pipeline: where it looks, what it prints, what it refuses and with which message."""

import json
import os
import pickle
import re
import shutil
import subprocess
import sys

import pytest
import torch
from helpers import TINY_SIZE

from svd_lab import load_video_pipeline, pipelines
from svd_lab.lesson.model_here import find_model
from svd_lab.models import checkpoints, hub
from svd_lab.performance import fused_ops, placement
from svd_lab.pipe_facts import native_size, size_step

SVD = "stabilityai/stable-video-diffusion-img2vid"


@pytest.fixture
def copy(tiny_folder, tmp_path):
    """A copy of the tiny folder that a test may damage."""
    return shutil.copytree(tiny_folder, tmp_path / "copy")


@pytest.fixture
def loaded(monkeypatch):
    """A record of what is loaded, in place of the move to a device: [(folder, keywords, device)]."""
    from diffusers import StableVideoDiffusionPipeline

    record = []
    real = StableVideoDiffusionPipeline.from_pretrained.__func__

    def from_pretrained(cls, folder, **keywords):
        pipe = real(cls, folder, **keywords)
        pipe.to = lambda device: record.append((folder, keywords, str(device)))
        return pipe

    monkeypatch.setattr(StableVideoDiffusionPipeline, "from_pretrained", classmethod(from_pretrained))
    return record


@pytest.fixture
def cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "Test GPU")
    monkeypatch.setattr(placement, "free_bytes", lambda device: 80 * 2**30)
    monkeypatch.setattr(fused_ops, "trouble", lambda index: "no kernels on this GPU")
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)


def write_half(folder):
    """Add the fp16 variant to a folder, as published SVD folders have it."""
    from diffusers import StableVideoDiffusionPipeline

    StableVideoDiffusionPipeline.from_pretrained(folder).to(torch.float16).save_pretrained(folder, variant="fp16")


@pytest.fixture
def svd_below_root(tiny_folder, tmp_path):
    """tmp_path/models/svd with full and half weights."""
    folder = shutil.copytree(tiny_folder, tmp_path / "models" / "svd")
    write_half(folder)
    return folder


def test_a_folder_is_loaded_and_announced_in_one_line(tiny_folder, capsys):
    pipe = load_video_pipeline(tiny_folder, device="cpu")
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    for word in ("tiny-svd", "your folder", "cpu", "float32", "96x64", "14 frames", "as asked"):
        assert word in line
    assert pipe.unet.dtype == pipe.vae.dtype == torch.float32
    assert native_size(pipe) == TINY_SIZE and size_step(pipe) == 8


def test_loading_shows_no_bars_and_restores_the_libraries_logging(tiny_folder, capfd):
    import diffusers.utils.logging as diffusers_logging
    import transformers.utils.logging as transformers_logging

    level = transformers_logging.get_verbosity()
    load_video_pipeline(str(tiny_folder), device="cpu")
    assert capfd.readouterr().err == ""
    assert transformers_logging.get_verbosity() == level
    assert diffusers_logging.is_progress_bar_enabled() and transformers_logging.is_progress_bar_enabled()


def test_stabilitys_configs_mean_1024x576_in_steps_of_64(tiny_pipe):
    from types import SimpleNamespace

    four = ("a", "b", "c", "d")
    svd = SimpleNamespace(
        unet=SimpleNamespace(config=SimpleNamespace(sample_size=96, down_block_types=four)),
        vae=SimpleNamespace(config=SimpleNamespace(sample_size=768)),
        vae_scale_factor=8,
    )
    assert native_size(svd) == (1024, 576) and size_step(svd) == 64


def test_auto_takes_the_miniature_without_cuda(tiny_folder, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(checkpoints, "mini_folder", lambda: tiny_folder)
    pipe = load_video_pipeline()
    assert pipe.device.type == "cpu" and pipe.svd_lab_name == "mini"
    assert "mini (in the package)" in (line := capsys.readouterr().out) and "no CUDA" in line


def test_auto_on_cuda_takes_svd_in_float16(cuda, svd_below_root, loaded, tmp_path, monkeypatch, capsys):
    folder = svd_below_root
    monkeypatch.setenv("SVD_LAB_MODELS", str(tmp_path / "models"))
    load_video_pipeline()
    [(loaded_from, keywords, device)] = loaded
    assert loaded_from == folder and device == "cuda"
    assert keywords["dtype"] == torch.float16 and keywords["variant"] == "fp16" and keywords["use_safetensors"] is True
    assert "svd (SVD_LAB_MODELS)" in (line := capsys.readouterr().out) and "Test GPU is here" in line


def test_auto_on_cuda_without_weights_raises_and_names_three_ways(cuda, no_hub, loaded, tiny_folder, monkeypatch):
    monkeypatch.setattr(checkpoints, "mini_folder", lambda: tiny_folder)
    with pytest.raises(ConnectionError) as caught:
        load_video_pipeline()
    message = str(caught.value)
    for word in ("cannot be reached", "1. ", "2. ", "3. ", "SVD_LAB_MODELS", "load_video_pipeline('mini')", SVD):
        assert word in message
    assert no_hub == [SVD] and loaded == [], "the miniature must not be loaded silently"


@pytest.mark.parametrize("below", ["svd", "stable-video-diffusion-img2vid", SVD])
@pytest.mark.parametrize("asked", ["svd", SVD])
def test_a_model_is_found_below_svd_lab_models(tmp_path, monkeypatch, below, asked):
    folder = tmp_path / "second" / below
    folder.mkdir(parents=True)
    monkeypatch.setenv("SVD_LAB_MODELS", os.pathsep.join([str(tmp_path / "first"), str(tmp_path / "second")]))
    found = checkpoints.locate(asked)
    assert (found.name, found.folder, found.source) == ("svd", folder, "SVD_LAB_MODELS")


def test_svd_lab_models_may_name_the_models_own_folder(tmp_path, monkeypatch):
    folder = tmp_path / "stable-video-diffusion-img2vid"
    folder.mkdir()
    (folder / "model_index.json").write_text("{}")
    monkeypatch.setenv("SVD_LAB_MODELS", str(folder))
    assert checkpoints.locate("svd").folder == folder


@pytest.mark.parametrize(
    "folder, words", [("gone", "gone is not a folder"), ("empty", "empty. Nothing was downloaded")]
)
@pytest.mark.parametrize("load", [load_video_pipeline, lambda _: find_model("svd")], ids=["load", "lesson"])
def test_a_lab_without_the_model_says_so_and_downloads_nothing(load, folder, words, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(pipelines, "download_model", lambda *_: pytest.fail("it downloads"))
    monkeypatch.setenv("SVD_LAB_MODELS", str(tmp_path / folder))
    with pytest.raises(FileNotFoundError) as caught:
        load("svd")
    text = str(caught.value)
    assert text.startswith("svd is not in the folders that SVD_LAB_MODELS names") and words in text
    assert "log in" not in text and "stable-video-diffusion-img2vid" in text


def test_a_lab_whose_folder_is_gone_is_told_so_with_the_miniature_too(tiny_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(checkpoints, "mini_folder", lambda: tiny_folder)
    monkeypatch.setenv("SVD_LAB_MODELS", str(tmp_path / "gone"))
    load_video_pipeline("mini", device="cpu")
    assert f"SVD_LAB_MODELS names {tmp_path / 'gone'}, which is not a folder." in capsys.readouterr().out


def test_a_damaged_folder_of_a_lab_is_advised_on_the_folder_alone(cuda, svd_below_root, tmp_path, monkeypatch):
    (svd_below_root / "unet" / "config.json").unlink()
    monkeypatch.setenv("SVD_LAB_MODELS", str(tmp_path / "models"))
    for model in ("svd", "auto"):
        with pytest.raises(FileNotFoundError) as caught:
            load_video_pipeline(model)
        text = str(caught.value)
        assert text.startswith(f"the model folder {svd_below_root} is not whole: unet/config.json is missing. Copy")
        assert "log in" not in text and "licence" not in text
        assert ("load_video_pipeline('mini')" in text) == (model == "auto")


def test_an_existing_folder_wins_over_a_hub_id_and_the_cache_over_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoints, "cached_folder", lambda hub_id: tmp_path / "snapshot")
    assert checkpoints.locate(SVD).source == "the Hub cache"
    (tmp_path / SVD).mkdir(parents=True)
    assert checkpoints.locate(SVD).source == "your folder"


def test_a_model_in_the_hub_cache_is_loaded_without_the_hub(tiny_folder, tmp_path, no_hub, monkeypatch, capsys):
    import huggingface_hub.constants

    repo = tmp_path / "hub" / f"models--{SVD.replace('/', '--')}"
    commit = "0" * 40
    shutil.copytree(tiny_folder, repo / "snapshots" / commit)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    monkeypatch.undo()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    load_video_pipeline("svd", device="cpu")
    assert "svd (the Hub cache)" in capsys.readouterr().out


def test_an_incomplete_download_is_completed_by_the_hub_or_refused(copy, no_hub, monkeypatch):
    (copy / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    monkeypatch.setattr(checkpoints, "cached_folder", lambda hub_id: copy)
    with pytest.raises(ConnectionError, match="not whole on this machine"):
        load_video_pipeline("svd", device="cpu")
    assert no_hub == [SVD]


@pytest.mark.parametrize(
    ("kinds", "half", "variant"),
    [("both", True, "fp16"), ("both", False, None), ("half", False, "fp16"), ("full", True, None)],
)
def test_the_complete_variant_is_read(copy, kinds, half, variant):
    write_half(copy)
    for path in copy.rglob("*.safetensors"):
        if kinds != "both" and (".fp16." in path.name) != (kinds == "half"):
            path.unlink()
    assert checkpoints.check_folder(copy, half) == variant


def test_a_folder_with_half_weights_alone_loads_in_float32_on_a_cpu(copy):
    write_half(copy)
    for path in copy.rglob("*.safetensors"):
        if ".fp16." not in path.name:
            path.unlink()
    pipe = load_video_pipeline(copy, device="cpu")
    assert pipe.unet.dtype == pipe.image_encoder.dtype == torch.float32


def test_sharded_weights_are_read_and_a_missing_shard_is_named(copy):
    from diffusers import UNetSpatioTemporalConditionModel

    unet = UNetSpatioTemporalConditionModel.from_pretrained(copy / "unet")
    (copy / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    unet.save_pretrained(copy / "unet", max_shard_size="1MB")
    shards = sorted((copy / "unet").glob("*-of-*.safetensors"))
    assert len(shards) > 1
    loaded = load_video_pipeline(copy, device="cpu").unet.state_dict()
    assert all(torch.equal(loaded[name], weight) for name, weight in unet.state_dict().items())
    shards[1].unlink()
    with pytest.raises(FileNotFoundError, match=shards[1].name):
        load_video_pipeline(copy, device="cpu")


class Explosive:
    """A pickle that leaves a trace when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def break_folder(folder, how):
    unet = folder / "unet" / "diffusion_pytorch_model.safetensors"
    index = folder / "model_index.json"
    if how == "pickle":
        unet.with_suffix(".bin").write_bytes(pickle.dumps(Explosive(folder / "exploded")))
        unet.unlink()
    elif how == "cut":
        os.truncate(unet, unet.stat().st_size - 1)
    elif how == "padded":
        unet.write_bytes(unet.read_bytes() + b"x")
    elif how == "empty":
        unet.write_bytes(b"")
    elif how == "pointer":
        unet.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    elif how == "garbage":
        unet.write_bytes((2).to_bytes(8, "little") + b"[]")
    elif how == "no weights":
        unet.unlink()
    elif how == "no config":
        (folder / "vae" / "config.json").unlink()
    elif how == "bad config":
        (folder / "vae" / "config.json").write_text("{")
    elif how == "no scheduler":
        shutil.rmtree(folder / "scheduler")
    elif how == "no index":
        index.unlink()
    elif how == "single file":
        index.unlink()
        (folder / "svd.safetensors").write_bytes(b"x")
    elif how == "bad index":
        index.write_text("[]")
    elif how == "image model":
        index.write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    elif how == "own code":
        index.write_text(json.dumps({**json.loads(index.read_text()), "unet": ["my_code", "Model"]}))
    elif how == "other weights":
        config = folder / "unet" / "config.json"
        config.write_text(config.read_text().replace('"cross_attention_dim": 32', '"cross_attention_dim": 64'))


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ("pickle", FileNotFoundError, "diffusion_pytorch_model.bin is there: a pickle"),
        ("cut", OSError, "unet/diffusion_pytorch_model.safetensors is cut off"),
        ("padded", OSError, "is cut off or padded"),
        ("empty", OSError, "is cut off \\(0 bytes\\)"),
        ("pointer", OSError, "git lfs pull"),
        ("garbage", OSError, "is not a safetensors file"),
        ("no weights", FileNotFoundError, "unet/diffusion_pytorch_model.safetensors is missing"),
        ("no config", FileNotFoundError, "vae/config.json is missing"),
        ("bad config", OSError, "vae/config.json cannot be read"),
        ("no scheduler", FileNotFoundError, "scheduler/scheduler_config.json is missing"),
        ("no index", FileNotFoundError, "model_index.json is missing"),
        ("single file", FileNotFoundError, "a single file like svd.safetensors"),
        ("bad index", OSError, "model_index.json cannot be read"),
        ("image model", ValueError, "holds a StableDiffusionPipeline, not a StableVideoDiffusionPipeline"),
        ("own code", OSError, "names no usable unet"),
        ("other weights", OSError, "do not fit together"),
    ],
)
def test_a_broken_folder_is_refused_and_the_file_named(copy, how, kind, words):
    break_folder(copy, how)
    with pytest.raises(kind, match=words) as caught:
        load_video_pipeline(copy, device="cpu")
    assert str(copy) in str(caught.value)
    assert not (copy / "exploded").exists(), "a pickle was read"


@pytest.mark.parametrize(
    ("model", "kind", "words"),
    [
        ("svdxt", ValueError, "Did you mean 'svd-xt'"),
        ("SVD", ValueError, "Did you mean 'svd'"),
        ("", ValueError, "not known"),
        ("/no/such/folder", FileNotFoundError, "no such folder"),
        ("./svd", FileNotFoundError, "no such folder"),
        ("~/no/such/folder", FileNotFoundError, "no such folder"),
        (__file__, ValueError, "is a file"),
        (f"https://huggingface.co/{SVD}", ValueError, "Hub id alone"),
        (None, TypeError, "None"),
        (torch.nn.Identity(), TypeError, "Identity"),
    ],
)
def test_a_model_that_names_nothing_is_refused(model, kind, words, no_hub):
    with pytest.raises(kind, match=words) as caught:
        load_video_pipeline(model, device="cpu")
    assert "svd-xt" in str(caught.value) or "stable-video" in str(caught.value), "it says what can be given"
    assert no_hub == []


@pytest.mark.parametrize(
    ("device", "kind", "words"),
    [
        ("gpu", ValueError, "'gpu' is not known"),
        ("meta", ValueError, "not known"),
        ("cuda", ValueError, "this machine has 0 of kind 'cuda' .torch .* is built .*Leave device out"),
        ("mps", ValueError, "this machine has 0 of kind 'mps'. Leave device out"),
        (0, TypeError, "0"),
    ],
)
def test_an_unavailable_device_is_refused(tiny_folder, monkeypatch, device, kind, words):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(kind, match=words):
        load_video_pipeline(tiny_folder, device=device)


@pytest.mark.parametrize(("cuda_build", "says"), [(None, "without CUDA"), ("13.0", "for CUDA 13.0")])
def test_a_refused_gpu_names_the_build_of_torch(monkeypatch, cuda_build, says):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.version, "cuda", cuda_build)
    with pytest.raises(ValueError, match=rf"0 of kind 'cuda' \(torch {re.escape(torch.__version__)} is built {says}\)"):
        pipelines.choose_device("cuda")


def test_the_second_gpu_can_be_named_and_a_third_is_refused(cuda):
    assert pipelines.choose_device("cuda:1")[0] == torch.device("cuda:1")
    with pytest.raises(ValueError, match="2 of kind 'cuda'"):
        pipelines.choose_device("cuda:2")


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [("float16", TypeError), (16, TypeError), (torch.int8, ValueError), (torch.float64, ValueError)],
)
def test_a_dtype_that_diffusers_would_misread_is_refused(tiny_folder, dtype, kind):
    with pytest.raises(kind, match="torch.float16"):
        load_video_pipeline(tiny_folder, device="cpu", dtype=dtype)


def test_an_explicit_dtype_is_kept(tiny_folder):
    assert load_video_pipeline(tiny_folder, device="cpu", dtype=torch.bfloat16).unet.dtype == torch.bfloat16


def test_a_model_without_the_half_variant_is_downloaded_in_full(tiny_folder, monkeypatch, capsys):
    from diffusers import StableVideoDiffusionPipeline

    asked = []

    def download(hub_id, *, variant, use_safetensors):
        asked.append((hub_id, variant, use_safetensors))
        if variant == "fp16":
            raise ValueError("You are trying to load `variant=fp16`, but no such modeling files are available.")
        return str(tiny_folder)

    monkeypatch.setattr(checkpoints, "cached_folder", lambda hub_id: None)
    monkeypatch.setattr(StableVideoDiffusionPipeline, "download", download)
    pipe = load_video_pipeline("me/model", device="cpu", dtype=torch.float16)
    assert asked == [("me/model", "fp16", True), ("me/model", None, True)]
    assert pipe.unet.dtype == torch.float16 and "me/model (the Hub)" in capsys.readouterr().out


def test_a_full_disk_is_not_reported_as_a_missing_network():
    try:
        raise OSError("Cannot load model") from OSError(28, "No space left on device")
    except OSError as error:
        translated = hub.hub_error(SVD, error)
    assert "disk is full" in str(translated) and not isinstance(translated, ConnectionError)


def test_import_is_quick_and_does_not_import_torch():
    code = (
        "import time, sys; start = time.perf_counter(); import svd_lab; spent = time.perf_counter() - start;"
        "heavy = {'torch', 'diffusers', 'transformers', 'numpy', 'PIL'} & set(sys.modules);"
        "names = [hasattr(svd_lab, n) for n in svd_lab.__all__];"
        "print(spent, heavy or 'none', all(names), 'torch' in sys.modules, set(svd_lab.__all__) <= set(dir(svd_lab)))"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(3)
    ]
    assert min(float(run[0]) for run in runs) < 0.2
    assert runs[0][1:] == ["none", "True", "False", "True"]


def test_an_unknown_public_name_is_an_attribute_error_that_lists_the_known():
    import svd_lab

    with pytest.raises(AttributeError, match="generate_video"):
        svd_lab.generate_videos  # noqa: B018
