"""Memory: the counted peak is what was measured, the placement is the fastest that fits, and running out says what to do."""

import gc
import json
import shutil
import time
import weakref
from types import SimpleNamespace

import full_size
import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from helpers import TINY_SIZE

from svd_lab import generate_video, load_video_pipeline
from svd_lab.performance import memory, out_of_memory, placement
from svd_lab.performance.memory import GIB, PLACEMENTS, Load
from svd_lab.performance.peak_memory import peak_memory

CLASS = {"num_frames": 10, "decode_chunk_size": 2, "height": 576, "width": 1024}
CLIP = 2 * 632_080_000  # bytes of CLIP ViT-H/14 in fp16


@pytest.fixture(scope="module")
def svd():
    """The true configs of SVD; no weights."""
    pipe = full_size.video_pipeline(14, small=False)
    return pipe.unet.config, pipe.vae.config


@pytest.fixture(scope="module")
def need(svd):
    return memory.load(*svd, CLIP, torch.float16, **CLASS, fused=False)


CUDA = torch.device("cuda", 0)


@pytest.fixture
def cuda(monkeypatch):
    """A GPU of 80 GiB with `.free` bytes free and nothing allocated, as torch reports it."""
    card = SimpleNamespace(free=int(6 * GIB))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (int(card.free), 80 * GIB))
    for name in ("memory_allocated", "memory_reserved"):
        monkeypatch.setattr(torch.cuda, name, lambda device: 0)
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda device: 1.0, raising=False)
    return card


def test_the_estimate_is_what_an_h100_measured(need):
    """The class's call on plain diffusers in fp16: 7.4 GiB at the peak, 1.125 GiB for each frame that is decoded at once."""
    assert need.peak(PLACEMENTS["whole"]) / GIB == pytest.approx(7.4, rel=0.05)
    assert need.decode / GIB == pytest.approx(2 * 1.125, rel=0.02)


def test_a_storage_counts_once_despite_views_and_until_it_is_freed():
    weight = torch.zeros(1000, 10, device="meta")

    def call():
        x = torch.zeros(100, 10, device="meta")  # 4,000 bytes
        x.view(10, 100).transpose(0, 1)[3:]
        y = torch.nn.functional.linear(x, weight)  # 400,000, and nothing for the weight
        del x
        z = y.relu()  # 400,000
        del y
        z.add_(1)

    assert memory.peak_bytes(call) == 800_000


def test_fused_blocks_and_pieces_need_less(svd, need):
    fused = memory.load(*svd, CLIP, torch.float16, **CLASS, fused=True)
    assert fused.step < 0.9 * need.step and fused.decode < need.decode
    assert need.step_pieces < 0.7 * need.step
    assert fused.weights == need.weights


def test_the_placement_is_the_fastest_that_fits(need):
    order = list(PLACEMENTS)
    cards = [need.card(placement) for placement in PLACEMENTS.values()]
    assert cards == sorted(cards, reverse=True)
    for name, card in zip(order, cards, strict=True):
        assert memory.choose(need, card).name == name
    assert memory.choose(need, cards[0] - 1).name == order[1]
    assert memory.choose(need, 0).name == "blocks"
    assert memory.choose(need, 0, "whole").name == "whole"
    seconds = [need.seconds(placement, 10, 0.3) for placement in PLACEMENTS.values()]
    assert seconds == sorted(seconds) and seconds[0] == 0 < seconds[1]


def test_blocks_are_counted_as_an_h100_reserved_them(svd):
    """14 frames with fused blocks: 4.6 GiB were reserved for 3.0 allocated, since the weights arrive on their own stream; whole and
    in pieces 7.80 and 6.57 GiB were allocated."""
    fourteen = memory.load(*svd, CLIP, torch.float16, **CLASS | {"num_frames": 14}, fused=True)
    for name, measured in (("whole", 7.80), ("pieces", 6.57), ("blocks", 4.61)):
        assert fourteen.peak(PLACEMENTS[name]) / GIB == pytest.approx(measured, rel=0.15)


@pytest.mark.parametrize(
    ("free", "says"), [(80, "whole"), (7.3, "7.3 GiB are free, all at once needs 9.1"), (2, "fewer frames")]
)
def test_the_choice_is_printed_with_its_reason(need, free, says):
    chosen = memory.choose(need, free * GIB)
    text = memory.sentence(need, chosen, free * GIB, "10 frames of 1024x576", 10)
    assert text.startswith(f"memory: {chosen.name} ") and says in text and "\n" not in text
    assert ("s a video of 10 steps" in text) == (need.seconds(chosen, 10) >= 1)


def test_a_plan_reads_the_folder_alone_and_prints_its_choice(tiny_folder, cuda, capsys):
    chosen, working = placement.plan(tiny_folder, torch.float16, CUDA, "auto", fused=True)
    assert chosen is PLACEMENTS["whole"] and 0 < working < GIB
    assert "memory: whole" in (said := capsys.readouterr().out) and "14 frames of 96x64" in said
    cuda.free = 0
    assert placement.plan(tiny_folder, torch.float16, CUDA, "auto", fused=True)[0].name == "blocks"


def test_a_plan_needs_to_the_byte_what_the_loaded_pipeline_needs(tiny_folder, tiny_pipe, cuda, tmp_path):
    """Even where the folder has both variants of the weights, of which one will be loaded."""
    width, height = TINY_SIZE
    asked = {"num_frames": 14, "decode_chunk_size": 2, "height": height, "width": width}
    card = placement.of_pipeline(tiny_pipe, asked).card(PLACEMENTS["whole"])
    folder = shutil.copytree(tiny_folder, tmp_path / "both")
    for file in folder.rglob("*.safetensors"):
        shutil.copy(file, file.with_name(file.name.replace(".safetensors", ".fp16.safetensors")))
    for cuda.free, name in ((card + 1, "whole"), (card - 1, "pieces")):
        assert placement.plan(folder, torch.float32, CUDA, "auto", fused=False)[0].name == name


def test_pieces_change_pixels_by_rounding_only_and_can_be_undone(tiny_pipe, picture_file, tmp_path):
    call = {"seed": 1, "pipe": tiny_pipe, "num_frames": 3, "num_inference_steps": 2}
    whole = generate_video(picture_file, tmp_path / "a.mp4", **call)
    placement.set_pieces(tiny_pipe.unet, True)
    try:
        assert any(getattr(part, "_chunk_size", None) == 1 for part in tiny_pipe.unet.modules())
        pieces = generate_video(picture_file, tmp_path / "b.mp4", **call)
    finally:
        placement.set_pieces(tiny_pipe.unet, False)
    assert (
        max(
            np.abs(np.asarray(a, int) - np.asarray(b, int)).max()
            for a, b in zip(whole.frames, pieces.frames, strict=True)
        )
        <= 1
    )
    again = generate_video(picture_file, tmp_path / "c.mp4", **call)
    assert again.recipe["frames_sha256"] == whole.recipe["frames_sha256"]
    assert not any(getattr(part, "_chunk_size", None) for part in tiny_pipe.unet.modules())


def test_blocks_moved_one_by_one_change_no_pixel_and_can_be_undone(tiny_folder, picture_file, tmp_path):
    """On a CPU, where nothing needs to move: the hooks are diffusers' own, and no stream is used."""
    pipe = load_video_pipeline(tiny_folder, device="cpu")
    call = {"seed": 1, "pipe": pipe, "num_frames": 3, "num_inference_steps": 2}
    placement.set_pieces(pipe.unet, True)
    before = generate_video(picture_file, tmp_path / "a.mp4", **call)

    def hooks():
        return [part for network in (pipe.unet, pipe.image_encoder) for part in network.modules() if is_offloaded(part)]

    def is_offloaded(part):
        registry = getattr(part, "_diffusers_hook", None)
        return registry is not None and registry.get_hook("group_offloading") is not None

    placement.place(pipe, "blocks", "cpu")
    assert hooks() and pipe.svd_lab_memory == "blocks" and str(pipe._execution_device) == "cpu"
    blocks = generate_video(picture_file, tmp_path / "b.mp4", **call)
    assert blocks.recipe["frames_sha256"] == before.recipe["frames_sha256"]
    placement.place(pipe, "blocks", "cpu")  # a second time does no harm
    placement.place(pipe, "pieces", "cpu")
    assert not hooks()
    after = generate_video(picture_file, tmp_path / "c.mp4", **call)
    assert after.recipe["frames_sha256"] == before.recipe["frames_sha256"]


@pytest.mark.parametrize("where", ["unet", "decoder"])
def test_running_out_of_memory_says_what_to_do_and_the_pipeline_works_on(
    tiny_pipe, picture_file, tmp_path, monkeypatch, where
):
    call = {"seed": 1, "pipe": tiny_pipe, "num_frames": 3, "num_inference_steps": 2}
    before = generate_video(picture_file, tmp_path / "before.mp4", **call)
    held = []

    def too_much(*_, **__):
        tensor = torch.zeros(1000)
        held.append(weakref.ref(tensor))
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    network = tiny_pipe.unet if where == "unet" else tiny_pipe.vae.decoder
    with monkeypatch.context() as patch:
        patch.setattr(network, "forward", too_much)
        with pytest.raises(
            MemoryError, match="3 frames of 96x64, decoded 2 at a time.*decode_chunk_size.*fewer frames"
        ) as caught:
            generate_video(picture_file, tmp_path / "none.mp4", **call)
        gc.collect()
        assert held[0]() is None, "the error keeps the run's tensors"
        assert caught.value.__cause__ is not None
    assert not (tmp_path / "none.mp4").exists()
    after = generate_video(picture_file, tmp_path / "after.mp4", **call)
    assert after.recipe["frames_sha256"] == before.recipe["frames_sha256"]


def test_other_errors_of_a_run_are_not_translated(tiny_pipe, picture_file, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(tiny_pipe.unet, "forward", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        generate_video(picture_file, tmp_path / "none.mp4", pipe=tiny_pipe, num_frames=2, num_inference_steps=1)


def test_advice_on_a_gpu_names_the_placement_that_fits_and_a_smaller_chunk(svd, cuda):
    parts = {"config": svd[0], "dtype": torch.float16}
    encoder = SimpleNamespace(parameters=lambda: [torch.empty(CLIP // 2, device="meta")])
    pipe = SimpleNamespace(
        unet=SimpleNamespace(**parts), vae=SimpleNamespace(config=svd[1]), image_encoder=encoder, components={},
        svd_lab_memory="whole", _execution_device=CUDA,
    )  # fmt: skip
    asked = {**CLASS, "num_inference_steps": 10, "decode_chunk_size": 10}
    cuda.free = 10 * GIB
    text = out_of_memory.advice(pipe, asked, "video")
    assert "the memory placement 'whole' it needs about" in text
    assert "1. decode_chunk_size=3 in the call" in text  # 10 at once take 11 GiB, each 1.125
    cuda.free = 6.5 * GIB
    text = out_of_memory.advice(pipe, asked | {"decode_chunk_size": 2}, "video")
    assert "decode_chunk_size=" not in text and "place(pipe, 'blocks', 'cuda:0')" in text


@pytest.mark.parametrize(
    ("given", "says"),
    [({"memory": "tiny"}, "'auto' or one of 'whole'"), ({"memory": "whole"}, "CUDA"), ({"memory": 8}, "whole")],
)
def test_an_impossible_placement_is_refused_before_anything_is_loaded(monkeypatch, given, says):
    from svd_lab import pipelines

    monkeypatch.setattr(pipelines, "locate", lambda *_: pytest.fail("it went on"))
    with pytest.raises(ValueError, match=says):
        load_video_pipeline("mini", device="cpu", **given)


def test_a_model_that_does_not_fit_goes_back_and_names_the_next_placement(tiny_folder, monkeypatch):
    pipe = load_video_pipeline(tiny_folder, device="cpu", speed="off")
    plain, moves = type(pipe).to, []

    def to(self, device, **named):
        moves.append(str(device))
        if str(device) == "meta":
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return plain(self, device, **named)

    monkeypatch.setattr(type(pipe), "to", to)
    with pytest.raises(MemoryError, match="memory='pieces'"):
        placement.place(pipe, "whole", "meta")
    assert moves == ["meta", "cpu"]
    with pytest.raises(ValueError, match="'whole', 'pieces'"):
        placement.place(pipe, "small", "cpu")


def test_the_load_of_a_pipeline_is_counted_from_its_configs(tiny_pipe):
    width, height = TINY_SIZE
    asked = {"num_frames": 3, "decode_chunk_size": 2, "height": height, "width": width}
    need = placement.of_pipeline(tiny_pipe, asked)
    assert isinstance(need, Load)
    assert need.weights["unet"] == sum(p.numel() * 4 for p in tiny_pipe.unet.parameters())
    assert need.step_pieces < need.step and need.layer < need.weights["unet"]


def test_working_memory_is_the_peak_without_the_weights_that_stay(need):
    for name, stay in (("whole", sum(need.weights.values())), ("blocks", need.weights["vae"])):
        assert need.working(PLACEMENTS[name]) == need.peak(PLACEMENTS[name]) - stay


@pytest.fixture
def image_pipe(tiny_image_folder, monkeypatch):
    """A tiny image pipeline, and the moves that it is asked for in place of a GPU: `.moves`."""
    from svd_lab import load_image_pipeline

    pipe, kind = load_image_pipeline(tiny_image_folder, device="cpu"), StableDiffusionPipeline
    pipe.moves = []
    monkeypatch.setattr(kind, "to", lambda self, device: self.moves.append(str(device)))
    monkeypatch.setattr(kind, "enable_model_cpu_offload", lambda self, device: self.moves.append(f"offload {device}"))
    return pipe


def test_pipelines_that_take_turns_leave_room_for_whichever_runs(tiny_folder, image_pipe, cuda, capsys):
    """An image model that would fit beside the video model's weights does not fit beside its work."""
    cuda.free, video_pipe = 4 * GIB, load_video_pipeline(tiny_folder, device="cpu")
    capsys.readouterr()
    placement.place_images(image_pipe, CUDA, "auto")
    assert image_pipe.moves == ["cuda:0"] and capsys.readouterr().out == ""
    placement.remember(video_pipe, 3.5 * GIB)
    placement.place_images(image_pipe, CUDA, "auto")
    said = capsys.readouterr().out
    assert image_pipe.moves == ["cuda:0", "offload cuda:0"] and said.startswith("memory: offload (") and "0." in said
    placement.place_images(image_pipe, CUDA, "whole")
    assert image_pipe.moves[2:] == ["cuda:0"]
    capsys.readouterr()
    # Another video model needs 0.1 GiB to work, so 3.4 of the 4 must stay free for the first.
    placement.plan(tiny_folder, torch.float16, CUDA, "auto", fused=True)
    assert "0.6 GiB are free" in capsys.readouterr().out
    del video_pipe
    gc.collect()
    placement.plan(tiny_folder, torch.float16, CUDA, "pieces", fused=True)
    assert "as asked" in capsys.readouterr().out
    cuda.free = 2 * GIB
    placement.place_images(image_pipe, CUDA, "auto")
    assert image_pipe.moves[3:] == ["cuda:0"], "a pipeline that is gone needs no room"


def test_a_model_that_needs_more_than_the_other_leaves_it_no_extra_room(svd, tiny_pipe, cuda, tmp_path, capsys):
    """Both never run at once: the larger need covers the smaller."""
    for name, config in zip(("unet", "vae"), svd, strict=True):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(dict(config)))
    cuda.free = 20 * GIB
    placement.remember(tiny_pipe, 2 * GIB)  # less than SVD's own 3 GiB
    try:
        placement.plan(tmp_path, torch.float16, CUDA, "auto", fused=False)
    finally:
        placement.remember(tiny_pipe, 0.0)
    assert "20.0 GiB are free" in capsys.readouterr().out


@pytest.mark.parametrize(("given", "says"), [("pieces", "'whole' or 'offload'"), ("offload", "CUDA")])
def test_an_impossible_placement_of_images_is_refused(given, says):
    from svd_lab import load_image_pipeline

    with pytest.raises(ValueError, match=says):
        load_image_pipeline("mini", device="cpu", memory=given)


def test_the_peak_of_a_block_is_measured_and_what_was_there_before_is_not():
    before = np.ones(2**24)  # 128 MiB
    with peak_memory(torch.device("cpu"), interval=0.005) as peak:
        block = np.ones(2**25)  # 256 MiB
        time.sleep(0.1)
        del block
    assert 200 < peak["bytes"] / 2**20 < 400 and before.all()
