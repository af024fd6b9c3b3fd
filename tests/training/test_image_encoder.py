"""The image encoder's own stage of training: its targets, and that it learns them."""

from types import SimpleNamespace

import pytest
import torch

from svd_lab.bundled import mini_folder
from svd_lab.mini.catalogue import catalogue
from svd_lab.training.assets import build_drawings
from svd_lab.training.loop.checkpoints import load_parts
from svd_lab.training.loop.ring import Ring
from svd_lab.training.loop.sampling import pseudo_huber
from svd_lab.training.networks.video import clip_of, make_clip
from svd_lab.training.stages import image_encoder
from svd_lab.training.stages.encoder_targets import (
    NOTHING,
    PLAIN,
    TargetEmbeddings,
    accuracy_on_clips,
    accuracy_on_drawings,
    embed_all,
    first_frames,
    loss,
    on_plain,
)
from svd_lab.training.stages.image_encoder import ImageEncoderOptions, load_drawings
from svd_lab.world.motion import INDEX, KINDS

pytestmark = pytest.mark.slow  # networks, worlds of a gigabyte, processes: the workshop's tests are the slow layer's


@pytest.fixture
def world(four_things):
    return four_things.on("cpu", 3)


class HalvesEncoder(torch.nn.Module):
    """An encoder that can be checked by hand: it embeds a picture as the mean colours of its left and right half."""

    config, dtype = SimpleNamespace(projection_dim=6), torch.float32

    def forward(self, pixels):
        halves = torch.stack(pixels.chunk(2, -1), 1).mean((-2, -1))
        return SimpleNamespace(image_embeds=halves.flatten(1))


def test_on_plain_changes_the_background_alone(world):
    clips = first_frames(world, 3, two=0, nothing=0)
    plain, alpha = on_plain(clips), clips.alpha[:, 0]
    assert plain.shape == (3, 3, 3, 128, 224)
    for picture, colour in zip(plain, PLAIN, strict=True):
        picture = picture.permute(0, 2, 3, 1)
        assert torch.allclose(picture[alpha == 0], torch.tensor(colour))
        assert torch.equal(picture[alpha == 1], clips.video[:, 0].permute(0, 2, 3, 1)[alpha == 1])


def test_facing_counts_by_itself_and_the_wrong_way_is_reported():
    wanted = torch.tensor([[1.0, 0, 5], [1, 0, 5], [1, 0, 5], [1, 0, 5]])
    turned = torch.tensor([[2.0, 0, 0], [2, 0, 0], [-2, 0, 0], [0, 0, 0]])  # from facing -1 to facing 1
    embedding = torch.tensor([[1.0, 0, 5], [-1, 0, 5], [3, 0, 5], [-1, 0, 5]])
    distance, facing, wrong = loss(embedding, wanted, turned, torch.tensor([1, 1, -1, 0]), spread=2.0)
    assert distance.tolist() == [0, 2, 2, 2]
    assert facing.tolist() == [0, 4, 4, 0]  # right; the other way; beyond; nothing to face
    assert wrong.tolist() == [False, True, False, False], "beyond its own side is far, but not the wrong way"


def test_a_kind_of_motion_has_one_target_for_each_way_to_face(world):
    clip, drive, up = HalvesEncoder(), INDEX["drive"], INDEX["up"]
    targets = TargetEmbeddings.measured(clip, world, each=12, scale=2, at_once=9)
    left, none, right = targets.kind[drive]
    assert none.abs().sum() == 0 < (left - right).abs().sum()
    assert targets.kind[up, 1].abs().sum() > 0 == targets.kind[up, 0].abs().sum(), "a balloon faces no way"
    assert targets.spread > 0 and targets.nothing.shape == (2, 6)

    clips = first_frames(world, 24, two=0.5, nothing=0.2)
    wanted, turned, side = targets.for_clips(clip, clips)
    for i in range(24):
        kind, second, facing = clips.kind[i, 0].item(), clips.thing[i, 1].item(), clips.facing[i].item()
        if second >= 0:
            easy = torch.stack([embed_all(clip, p[i : i + 1])[0] for p in on_plain(clips)])
            assert torch.allclose(wanted[i], easy.mean(0)) and side[i] == 0
        elif clips.thing[i, 0] < 0:
            assert any(torch.equal(wanted[i], nothing) for nothing in targets.nothing) and side[i] == 0
        else:
            assert torch.equal(wanted[i], targets.kind[kind, facing + 1])
            assert side[i] == facing and (facing == 0) == (turned[i].abs().sum() == 0)
            if facing:
                away = targets.kind[kind, 1 - facing]
                assert loss(away[None], wanted[[i]], turned[[i]], side[[i]], 1.0)[2].item(), "the other way is wrong"


def test_for_a_thing_that_may_face_either_way_the_nearer_target_counts():
    kinds = torch.zeros(len(KINDS), 3, 2)
    kinds[INDEX["drive"], 0], kinds[INDEX["drive"], 2] = torch.tensor([1.0, 0]), torch.tensor([-1.0, 0])
    kinds[INDEX["ball"], 1] = torch.tensor([0.0, 3])
    targets = TargetEmbeddings(kinds, torch.tensor([[7.0, 7], [8, 8]]), 1.0)
    index = {t["kind"]: i for i, t in enumerate(catalogue())}
    things = torch.tensor([index["drive"], index["drive"], index["ball"], NOTHING])
    wanted, turned, side = targets.for_things(things)
    embedding = torch.tensor([[0.9, 0], [-0.9, 0], [0, 3], [7, 7]])
    distance, facing, wrong = loss(embedding, wanted, turned, side, 1.0)
    assert torch.allclose(distance, torch.tensor([0.01, 0.01, 0, 0]), atol=1e-6)
    assert not facing.any() and not wrong.any()
    assert loss(torch.tensor([[0.0, 0]]), *(x[:1] for x in (wanted, turned, side)), 1.0)[0].item() == 1, (
        "no mean of both"
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (dict(drawn=1.0), "--drawn is a share"),
        (dict(blended=1.5), "--blended is a share, from 0 to 1, not 1.5"),
        (dict(huber=-1.0), "--huber is a distance, 0 or more, not -1"),
        (dict(drawings="nowhere.pt"), "svd_lab.training.assets.build_drawings nowhere.pt makes it"),
    ],
)
def test_wrong_options_are_refused_before_any_work(given, words):
    with pytest.raises(ValueError, match=words):
        ImageEncoderOptions(**given)


def test_drawings_are_right_whichever_way_they_face():
    kinds = torch.zeros(len(KINDS), 3, 6)
    kinds[INDEX["drive"], 0], kinds[INDEX["drive"], 2], kinds[INDEX["ball"], 1] = (torch.randn(6) for _ in range(3))
    targets = TargetEmbeddings(kinds, torch.randn(2, 6), 1.0)
    index = {t["kind"]: i for i, t in enumerate(catalogue())}
    wanted = targets.for_things(torch.tensor([index["drive"], index["drive"], index["ball"], NOTHING]))

    class Fixed(HalvesEncoder):
        def forward(self, pixels):
            return SimpleNamespace(image_embeds=self.embedding)

    one = Fixed()
    one.embedding = torch.stack(
        [kinds[INDEX["drive"], 0], kinds[INDEX["drive"], 2], kinds[INDEX["ball"], 1], targets.nothing[0]]
    )
    pictures = torch.zeros(4, 3, 128, 224, dtype=torch.uint8)
    assert accuracy_on_drawings(one, pictures, wanted, targets) == "0.0000 right 1.0000"
    one.embedding = one.embedding.flip(0)
    assert accuracy_on_drawings(one, pictures, wanted, targets).endswith("right 0.0000")


def test_the_huber_loss_takes_the_likelier_side():
    at = torch.linspace(0, 1, 101)  # of the way from one target to another that is right in two cases of five
    cost = lambda of: sum(p * of((at - x).square()) for p, x in ((0.6, 0.0), (0.4, 1.0)))  # noqa: E731
    assert abs(at[cost(lambda square: square).argmin()].item() - 0.4) < 1e-6, "in between"
    assert at[cost(lambda square: pseudo_huber(square, 0.05)).argmin()].item() < 0.1


def test_blended_pictures_are_two_at_once():
    pictures = torch.arange(8, dtype=torch.uint8)[:, None, None, None].expand(8, 3, 4, 4) * 20
    other = image_encoder.blend(made := pictures.clone(), 4)
    assert torch.equal(made[4:], pictures[4:]) and torch.equal(other[4:], torch.arange(4, 8))
    assert set(other[:4].tolist()) == set(range(4)) and (other[:4] != torch.arange(4)).all()
    ours, theirs = pictures[:4].float(), pictures[other[:4]].float()
    share = (made[:4].float() - ours) / (theirs - ours)
    assert share.min() > 0.17 and share.max() < 0.83, "rounded, of 20 and more"
    assert torch.equal(image_encoder.blend(same := pictures.clone(), 0), torch.arange(8)) and torch.equal(
        same, pictures
    )


def test_drawings_come_with_the_things_of_their_prompts(monkeypatch, tmp_path):
    monkeypatch.setattr(build_drawings, "STEPS", 1)
    monkeypatch.setattr(build_drawings, "EMPTY", 0.5)
    made = build_drawings.draw(4, 2, "cpu", batch=4)
    assert made["pictures"].shape == (4, 3, 128, 224) and made["pictures"].dtype == torch.uint8
    shown = [i for i in made["things"].tolist() if i != NOTHING]
    assert 0 < len(shown) < 4 and not any(catalogue()[i]["held_out"] for i in shown) and len(made["texts"]) == 4
    assert build_drawings.draw(4, 3, "cpu", batch=4)["texts"] != made["texts"]
    build_drawings.save(made, tmp_path / "four.pt")
    again = load_drawings(tmp_path / "four.pt")
    assert again["texts"] == made["texts"] and torch.equal(again["things"], made["things"])
    assert (again["pictures"].float() - made["pictures"].float()).abs().mean() < 8, (
        "noise, here, which WebP does not like"
    )


def test_unseen_pictures_are_measured_by_the_nearest_target(world):
    kinds = torch.zeros(len(KINDS), 3, 6)
    kinds[:, :, 0] = 1 + torch.arange(len(KINDS))[:, None]  # one for each kind, whichever way
    targets = TargetEmbeddings(kinds, kinds[0, :2], 1.0)

    class Constant(HalvesEncoder):
        def forward(self, pixels):
            embedding = torch.zeros(len(pixels), 6)
            embedding[:, 0] = 1.0 + INDEX["drive"]
            return SimpleNamespace(image_embeds=embedding)

    said = accuracy_on_clips(Constant(), world, targets, Constant(), 40)
    drive = (first_frames(world.on("cpu", 3), 40, two=0, nothing=0).kind[:, 0] == INDEX["drive"]).float().mean()
    assert 0 < drive < 1, "some things drive, others do not"
    assert float(said.split("right ")[1]) == pytest.approx(drive.item(), abs=1e-4)
    assert " wrong 0.0000 " in said


def test_scale_puts_the_targets_further_out(world):
    near, far = (
        TargetEmbeddings.measured(HalvesEncoder(), world.on("cpu", 5), each=4, scale=scale) for scale in (1, 1.5)
    )
    assert near.kind.abs().sum() > 0 and torch.allclose(far.kind, 1.5 * near.kind)
    assert torch.allclose(far.nothing, 1.5 * near.nothing)


@pytest.mark.parametrize(("layers", "patch"), [(4, 28), (5, 14)])
def test_an_encoder_is_made_in_the_shape_of_its_weights(layers, patch):
    one = make_clip(layers=layers, patch=patch).eval()
    same, pixels = clip_of(one.half().state_dict()).eval(), torch.randn(1, 3, 224, 224)
    assert same.config.to_dict() == one.config.to_dict()
    with torch.no_grad():
        assert torch.equal(same(pixels).image_embeds, one.float()(pixels).image_embeds)
    assert sum(p.numel() for p in one.parameters()) < 1.13e6, "all weights together have a limit"


def test_a_ring_keeps_the_newest_of_each():
    pool = Ring(7, 2)
    for k in range(4):
        pool.add(torch.full((2, 1), float(k)), torch.full((2,), k))
    assert pool.n == 6 and sorted(pool.parts[1].tolist()) == [1, 1, 2, 2, 3, 3]
    a, b = pool.sample(50)
    assert a.shape == (50, 1) and torch.equal(a[:, 0].long(), b)
    assert pool.newest(9)[1].tolist() == [3, 3] and Ring(1, 4).size == 4


@pytest.fixture(params=["four things", pytest.param("all things", marks=pytest.mark.slow)])
def worlds(request, draw_four_things):
    """The worlds of the stage: small ones, and its own, which take a minute to create."""
    if request.param == "four things":
        draw_four_things(image_encoder, "World", "EncoderWorld")


@pytest.mark.parametrize(("huber", "blended"), [(0.0, 0.0), (0.2, 0.25)])
def test_the_stage_improves_the_encoder_and_leaves_the_unet_alone(
    worlds, tmp_path, monkeypatch, capsys, huber, blended
):
    """Ten steps on 32 pictures from the shipped weights, towards targets that are easy to learn: one for all."""
    torch.manual_seed(0)
    every = torch.randn(1, 1, 64).expand(len(KINDS), 3, 64)
    targets = TargetEmbeddings(every, every[0, :2], 64.0)
    monkeypatch.setattr(TargetEmbeddings, "measured", lambda *_: targets)
    pictures, things = torch.randint(256, (3, 3, 128, 224), dtype=torch.uint8), torch.tensor([0, 5, NOTHING])
    drawings, weights = str(tmp_path / "drawings.pt"), str(mini_folder())
    build_drawings.save(dict(pictures=pictures, things=things, texts=["", "", ""]), drawings)
    image_encoder.train(
        ImageEncoderOptions(
            weights=weights, each=1, seed=1, pool=32, render=16, prefill=32, two=0, nothing=0.1, ema=0.5, seconds=600.0,
            steps=10, every=100, batch=16, warmup=1, out=str(tmp_path), drawings=drawings, drawn=0.25, huber=huber,
            blended=blended,
        )
    )  # fmt: skip
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("clip ") and "unseen" in line]
    far = [float(line.split("unseen ")[1].split()[0]) for line in lines]
    assert len(far) == 3 and far[2] < 0.9 * far[0], "the last one is of the averaged weights"
    assert all(" of drawings " in line for line in lines)
    before, after = load_parts(weights), load_parts(tmp_path / "clip.pt")
    assert all(torch.equal(after["unet"][k], v) for k, v in before["unet"].items())
    assert any(not torch.equal(after["clip"][k], v) for k, v in before["clip"].items())
