"""memory and placing: the peak is what was measured, the recipe is the fastest that fits, and too little memory says what to do."""

import gc
import json
import weakref
from types import SimpleNamespace

import full_size
import numpy as np
import pytest
import torch
from conftest import TINY_SIZE

from svd_lab import generate_video, load_video_pipeline
from svd_lab.performance import memory, placement
from svd_lab.performance.memory import GIB, RECIPES, Load

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


@pytest.fixture
def cuda(monkeypatch):
    """A GPU of `.free` bytes, as far as placing asks."""
    card = SimpleNamespace(free=int(6 * GIB))
    monkeypatch.setattr(placement, "free_bytes", lambda device: card.free)
    monkeypatch.setattr(placement, "held_bytes", lambda pipe: 0)
    return card


def test_the_estimate_is_what_an_h100_measured(need):
    """The class's recipe on plain diffusers in fp16: 7.4 GiB at the peak, 1.125 GiB for each frame that is decoded at once."""
    assert need.peak(RECIPES["whole"]) / GIB == pytest.approx(7.4, rel=0.05)
    assert need.decode / GIB == pytest.approx(2 * 1.125, rel=0.02)


def test_a_storage_counts_once_whatever_views_it_has_and_until_it_is_freed():
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


def test_the_recipe_is_the_fastest_that_fits(need):
    order = list(RECIPES)
    cards = [need.card(recipe) for recipe in RECIPES.values()]
    assert cards == sorted(cards, reverse=True)
    for name, card in zip(order, cards, strict=True):
        assert memory.choose(need, card).name == name
    assert memory.choose(need, cards[0] - 1).name == order[1]
    assert memory.choose(need, 0).name == "blocks"
    assert memory.choose(need, 0, "whole").name == "whole"
    seconds = [need.seconds(recipe, 10, 0.3) for recipe in RECIPES.values()]
    assert seconds == sorted(seconds) and seconds[0] == 0 < seconds[1]


def test_blocks_are_counted_as_an_h100_reserved_them(svd):
    """14 frames under fused blocks: 4.6 GiB were reserved for 3.0 allocated, since the weights come on a stream of their own; whole
    and in pieces 7.80 and 6.57 GiB were allocated."""
    fourteen = memory.load(*svd, CLIP, torch.float16, **CLASS | {"num_frames": 14}, fused=True)
    for name, measured in (("whole", 7.80), ("pieces", 6.57), ("blocks", 4.61)):
        assert fourteen.peak(RECIPES[name]) / GIB == pytest.approx(measured, rel=0.15)


@pytest.mark.parametrize(
    ("free", "says"), [(80, "whole"), (7.3, "7.3 GiB are free, all at once needs 9.1"), (2, "fewer frames")]
)
def test_the_choice_is_told_with_its_reason(need, free, says):
    recipe = memory.choose(need, free * GIB)
    text = memory.sentence(need, recipe, free * GIB, "10 frames of 1024x576", 10)
    assert text.startswith(f"memory: {recipe.name} ") and says in text and "\n" not in text
    assert ("s a video of 10 steps" in text) == (need.seconds(recipe, 10) >= 1)


def test_a_plan_reads_the_folder_alone_and_prints_its_choice(tiny_folder, cuda, capsys):
    recipe, working = placement.plan(tiny_folder, torch.float16, torch.device("cuda"), "auto", fused=True)
    assert recipe is RECIPES["whole"] and 0 < working < GIB
    assert "memory: whole" in (said := capsys.readouterr().out) and "14 frames of 96x64" in said
    cuda.free = 0
    assert placement.plan(tiny_folder, torch.float16, torch.device("cuda"), "auto", fused=True)[0].name == "blocks"


def test_numbers_are_counted_in_the_file_of_one_variant(tiny_folder, tiny_pipe):
    assert placement._stored(tiny_folder / "image_encoder") == sum(
        p.numel() for p in tiny_pipe.image_encoder.parameters()
    )


def test_pieces_change_no_pixel_by_more_than_rounding_and_can_be_undone(tiny_pipe, picture_file, tmp_path):
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


def test_blocks_that_come_one_by_one_change_no_pixel_and_can_be_put_back(tiny_folder, picture_file, tmp_path):
    """On a CPU, where nothing has to come: the hooks are diffusers' own, and no stream is asked for."""
    pipe = load_video_pipeline(tiny_folder, device="cpu")
    call = {"seed": 1, "pipe": pipe, "num_frames": 3, "num_inference_steps": 2}
    placement.set_pieces(pipe.unet, True)
    before = generate_video(picture_file, tmp_path / "a.mp4", **call)

    def hooks():
        return [part for network in (pipe.unet, pipe.image_encoder) for part in network.modules() if came(part)]

    def came(part):
        registry = getattr(part, "_diffusers_hook", None)
        return registry is not None and registry.get_hook("group_offloading") is not None

    placement.place(pipe, "blocks", "cpu")
    assert hooks() and pipe.svd_lab_memory == "blocks" and str(pipe._execution_device) == "cpu"
    blocks = generate_video(picture_file, tmp_path / "b.mp4", **call)
    assert blocks.recipe["frames_sha256"] == before.recipe["frames_sha256"]
    placement.place(pipe, "blocks", "cpu")  # once more does no harm
    placement.place(pipe, "pieces", "cpu")
    assert not hooks()
    after = generate_video(picture_file, tmp_path / "c.mp4", **call)
    assert after.recipe["frames_sha256"] == before.recipe["frames_sha256"]


@pytest.mark.parametrize("where", ["unet", "decoder"])
def test_running_out_of_memory_says_what_to_do_and_leaves_the_pipeline_usable(
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


def test_other_errors_of_a_run_stay_what_they_are(tiny_pipe, picture_file, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(tiny_pipe.unet, "forward", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        generate_video(picture_file, tmp_path / "none.mp4", pipe=tiny_pipe, num_frames=2, num_inference_steps=1)


def test_advice_on_a_gpu_names_the_next_recipe_that_fits_and_a_smaller_chunk(svd, cuda):
    parts = {"config": svd[0], "dtype": torch.float16}
    encoder = SimpleNamespace(parameters=lambda: [torch.empty(CLIP // 2, device="meta")])
    pipe = SimpleNamespace(
        unet=SimpleNamespace(**parts), vae=SimpleNamespace(config=svd[1]), image_encoder=encoder, svd_lab_memory="whole",
        _execution_device=torch.device("cuda"),
    )  # fmt: skip
    asked = {**CLASS, "num_inference_steps": 10, "decode_chunk_size": 10}
    cuda.free = 10 * GIB
    text = placement.advice(pipe, asked, "video")
    assert "1. decode_chunk_size=3 in the call" in text  # 10 at once take 11 GiB, each 1.125
    cuda.free = 6.5 * GIB
    text = placement.advice(pipe, asked | {"decode_chunk_size": 2}, "video")
    assert "decode_chunk_size=" not in text and "place(pipe, 'blocks', 'cuda')" in text


@pytest.mark.parametrize(
    ("given", "says"),
    [({"memory": "tiny"}, "'auto' or one of 'whole'"), ({"memory": "whole"}, "CUDA"), ({"memory": 8}, "whole")],
)
def test_a_recipe_that_cannot_be_is_refused_before_anything_is_loaded(monkeypatch, given, says):
    from svd_lab import pipelines

    monkeypatch.setattr(pipelines, "locate", lambda *_: pytest.fail("it went on"))
    with pytest.raises(ValueError, match=says):
        load_video_pipeline("mini", device="cpu", **given)


def test_a_model_that_does_not_fit_names_the_recipe_after_and_goes_back(tiny_folder, monkeypatch):
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


def test_the_load_of_a_loaded_pipeline_is_that_of_its_configs(tiny_pipe):
    width, height = TINY_SIZE
    asked = {"num_frames": 3, "decode_chunk_size": 2, "height": height, "width": width}
    need = placement.of_pipeline(tiny_pipe, asked)
    assert isinstance(need, Load)
    assert need.weights["unet"] == sum(p.numel() * 4 for p in tiny_pipe.unet.parameters())
    assert need.step_pieces < need.step and need.layer < need.weights["unet"]


def test_what_a_pipeline_works_with_is_its_peak_without_the_weights_that_stay(need):
    for recipe, stay in (("whole", sum(need.weights.values())), ("blocks", need.weights["vae"])):
        assert need.working(RECIPES[recipe]) == need.peak(RECIPES[recipe]) - stay


def test_pipelines_that_take_turns_leave_room_for_whichever_runs(
    tiny_folder, tiny_image_pipe, tiny_pipe, cuda, capsys, monkeypatch
):
    """A 12 GB card: an image model that would fit beside the video model's weights does not fit beside its work."""
    monkeypatch.setattr(placement, "_WORKING", weakref.WeakKeyDictionary())
    moved = []
    monkeypatch.setattr(type(tiny_image_pipe), "to", lambda self, device: moved.append(str(device)))
    monkeypatch.setattr(
        type(tiny_image_pipe), "enable_model_cpu_offload", lambda self, device: moved.append(f"offload {device}")
    )
    cuda.free = 4 * GIB
    placement.place_images(tiny_image_pipe, torch.device("cuda"), "auto")
    assert moved == ["cuda"] and capsys.readouterr().out == ""
    placement.remember(tiny_pipe, 3.5 * GIB)
    placement.place_images(tiny_image_pipe, torch.device("cuda"), "auto")
    said = capsys.readouterr().out
    assert moved == ["cuda", "offload cuda"] and said.startswith("memory: offload (") and "0." in said
    placement.place_images(tiny_image_pipe, torch.device("cuda"), "whole")
    assert moved[2:] == ["cuda"]
    assert [placement._of_others(own * GIB) / GIB for own in (0, 2, 4)] == [3.5, 1.5, 0]
    capsys.readouterr()
    # A video model beside them works with 0.1 GiB itself, so 3.4 of the 4 have to stay free for the other.
    placement.plan(tiny_folder, torch.float16, torch.device("cuda"), "auto", fused=True)
    assert "0.6 GiB are free" in capsys.readouterr().out


@pytest.mark.parametrize(("given", "says"), [("pieces", "'whole' or 'offload'"), ("offload", "CUDA")])
def test_a_memory_choice_for_images_that_cannot_be_is_refused(given, says):
    from svd_lab import load_image_pipeline

    with pytest.raises(ValueError, match=says):
        load_image_pipeline("mini", device="cpu", memory=given)


def test_rows_of_the_measurement_are_shown_and_kept_one_by_one(monkeypatch, tmp_path, capsys):
    """The measuring itself wants a GPU; what it hands on is replaced, and the third row never comes."""
    from svd_lab.training.measure import memory_caps

    def under(cap, name, *_):
        if name == "blocks":
            raise KeyboardInterrupt
        row = {"cap_gb": cap, "recipe": "whole" if cap else name, "estimate": 8e9, "card": 9e9}
        if cap == 8:
            return row | {"error": "there is too little memory"}
        return row | {"peak": 7.9e9, "off": 0.01, "seconds": 2.5, "advice": "fewer", "usable_after": True}

    monkeypatch.setattr(memory_caps, "_under", under)
    monkeypatch.setattr("svd_lab.pipelines.choose_device", lambda device: (torch.device("cuda", 0), ""))
    capped = []
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda *given: capped.append(given))
    file = tmp_path / "rows.json"
    with pytest.raises(KeyboardInterrupt):
        memory_caps.main(["--caps", "16", "8", "--placements", "blocks", "--json", str(file)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["cap", "recipe"] and "usable after: True" in lines[1] and "too little" in lines[2]
    assert [row["cap_gb"] for row in json.loads(file.read_text())] == [16, 8]
    assert capped == [(1.0, 0)], "the cap must not stay"
    assert memory_caps.main(["--placements", "tiny"]) == 1 and "'whole', 'pieces'" in capsys.readouterr().err
