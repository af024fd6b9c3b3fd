"""The image encoder's own stage of training: what it is asked for, and that it learns that."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from svd_lab.bundled import mini_folder
from svd_lab.mini.catalogue import catalogue
from svd_lab.training.assets import build_drawings
from svd_lab.training.loop.stretch import Ring
from svd_lab.training.stages import image_encoder
from svd_lab.training.stages.image_encoder import Centres, embed_all, first_frames, loss, on_plain
from svd_lab.world.motion import INDEX, KINDS
from svd_lab.world.scenes import World


@pytest.fixture(scope="module")
def world():
    return World(seed=3)


class Looker(torch.nn.Module):
    """An encoder whose answer can be checked by hand: the picture's mean colours, left and right half."""

    config, dtype = SimpleNamespace(projection_dim=6), torch.float32

    def forward(self, pixels):
        halves = torch.stack(pixels.chunk(2, -1), 1).mean((-2, -1))
        return SimpleNamespace(image_embeds=halves.flatten(1))


def test_behind_the_things_there_is_a_plain_colour_and_they_stay(world):
    clips = first_frames(world, 3, two=0, nothing=0)
    plain, alpha = on_plain(clips), clips.alpha[:, 0]
    assert plain.shape == (3, 3, 3, 128, 224)
    for picture, colour in zip(plain, image_encoder.PLAIN, strict=True):
        picture = picture.permute(0, 2, 3, 1)
        assert torch.allclose(picture[alpha == 0], torch.tensor(colour))
        assert torch.equal(picture[alpha == 1], clips.video[:, 0].permute(0, 2, 3, 1)[alpha == 1])


def test_facing_counts_by_itself_and_the_wrong_way_is_told():
    wanted = torch.tensor([[1.0, 0, 5], [1, 0, 5], [1, 0, 5], [1, 0, 5]])
    turned = torch.tensor([[2.0, 0, 0], [2, 0, 0], [-2, 0, 0], [0, 0, 0]])  # from facing -1 to facing 1
    answer = torch.tensor([[1.0, 0, 5], [-1, 0, 5], [3, 0, 5], [-1, 0, 5]])
    distance, facing, wrong = loss(answer, wanted, turned, torch.tensor([1, 1, -1, 0]), spread=2.0)
    assert distance.tolist() == [0, 2, 2, 2]
    assert facing.tolist() == [0, 4, 4, 0]  # right; the other way twice; none to face
    assert wrong.tolist() == [False, True, False, False], "beyond its own side is far off, and not the wrong way"


@pytest.fixture
def few(world):
    """The world with four things."""
    chosen = [
        next(i for i, t in enumerate(catalogue()) if t["en"] == n) for n in ("rocket", "automobile", "taxi", "balloon")
    ]
    rows, few = [world.keep.index(i) for i in chosen], world.on("cpu", 3)
    few.keep, few.atlas = chosen, world.atlas[:, rows]
    few.ids, few.weights, few.kinds = (t[rows] for t in (world.ids, world.weights, world.kinds))
    return few


def test_a_kind_of_motion_has_one_answer_for_each_way_to_face(few):
    clip, drive, up = Looker(), INDEX["drive"], INDEX["up"]
    centres = Centres.of(clip, few, each=12, reach=2, at_once=9)
    left, none, right = centres.kind[drive]
    assert none.abs().sum() == 0 < (left - right).abs().sum()
    assert centres.kind[up, 1].abs().sum() > 0 == centres.kind[up, 0].abs().sum(), "a balloon faces no way"
    assert centres.spread > 0 and centres.nothing.shape == (2, 6)

    clips = first_frames(few, 24, two=0.5, nothing=0.2)
    wanted, turned, side = centres.answers(clip, clips)
    for i in range(24):
        kind, second, facing = clips.kind[i, 0].item(), clips.thing[i, 1].item(), clips.facing[i].item()
        if second >= 0:
            easy = torch.stack([embed_all(clip, p[i : i + 1])[0] for p in on_plain(clips)])
            assert torch.allclose(wanted[i], easy.mean(0)) and side[i] == 0
        elif clips.thing[i, 0] < 0:
            assert any(torch.equal(wanted[i], nothing) for nothing in centres.nothing) and side[i] == 0
        else:
            assert torch.equal(wanted[i], centres.kind[kind, facing + 1])
            assert side[i] == facing and (facing == 0) == (turned[i].abs().sum() == 0)
            if facing:
                away = centres.kind[kind, 1 - facing]
                assert loss(away[None], wanted[[i]], turned[[i]], side[[i]], 1.0)[2].item(), "the other way is wrong"


def test_where_nobody_knows_the_way_the_nearer_answer_counts():
    answers = torch.zeros(len(KINDS), 3, 2)
    answers[INDEX["drive"], 0], answers[INDEX["drive"], 2] = torch.tensor([1.0, 0]), torch.tensor([-1.0, 0])
    answers[INDEX["ball"], 1] = torch.tensor([0.0, 3])
    centres = Centres(answers, torch.tensor([[7.0, 7], [8, 8]]), 1.0)
    index = {t["kind"]: i for i, t in enumerate(catalogue())}
    things = torch.tensor([index["drive"], index["drive"], index["ball"], build_drawings.NOTHING])
    wanted, turned, side = centres.either_way(things)
    answer = torch.tensor([[0.9, 0], [-0.9, 0], [0, 3], [7, 7]])
    distance, facing, wrong = loss(answer, wanted, turned, side, 1.0)
    assert torch.allclose(distance, torch.tensor([0.01, 0.01, 0, 0]), atol=1e-6)
    assert not facing.any() and not wrong.any()
    assert loss(torch.tensor([[0.0, 0]]), *(x[:1] for x in (wanted, turned, side)), 1.0)[0].item() == 1, (
        "no mean of both"
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (dict(drawn=1.0), "--drawn is a share"),
        (dict(drawn=0.1, mixed=1.5), "--mixed is a share of the pictures, from 0 to 1, not 1.5"),
        (dict(drawn=0.1, soft=-1.0), "--soft 0 or more, not -1"),
        (dict(drawn=0.1, drawings="nowhere.pt"), "svd_lab.training.assets.build_drawings nowhere.pt makes it"),
    ],
)
def test_a_stage_without_its_drawings_ends_before_it_begins(given, said):
    with pytest.raises(SystemExit, match=said):
        image_encoder.train(SimpleNamespace(**(dict(drawings="", soft=0.0, mixed=0.0) | given)))


def test_drawings_are_right_whichever_way_they_face():
    answers = torch.zeros(len(KINDS), 3, 6)
    answers[INDEX["drive"], 0], answers[INDEX["drive"], 2], answers[INDEX["ball"], 1] = (
        torch.randn(6) for _ in range(3)
    )
    centres = Centres(answers, torch.randn(2, 6), 1.0)
    index = {t["kind"]: i for i, t in enumerate(catalogue())}
    said = centres.either_way(torch.tensor([index["drive"], index["drive"], index["ball"], build_drawings.NOTHING]))

    class Says(Looker):
        def forward(self, pixels):
            return SimpleNamespace(image_embeds=self.answer)

    one = Says()
    one.answer = torch.stack(
        [answers[INDEX["drive"], 0], answers[INDEX["drive"], 2], answers[INDEX["ball"], 1], centres.nothing[0]]
    )
    pictures = torch.zeros(4, 3, 128, 224, dtype=torch.uint8)
    assert image_encoder.judged(one, pictures, said, centres) == "0.0000 right 1.0000"
    one.answer = one.answer.flip(0)
    assert image_encoder.judged(one, pictures, said, centres).endswith("right 0.0000")


def test_unsure_it_takes_the_likelier_side():
    at = torch.linspace(0, 1, 101)  # of the way from one answer to another that is right in two cases of five
    cost = lambda of: sum(p * of((at - x).square()) for p, x in ((0.6, 0.0), (0.4, 1.0)))  # noqa: E731
    assert abs(at[cost(lambda square: square).argmin()].item() - 0.4) < 1e-6, "in between"
    assert at[cost(lambda square: image_encoder.robust(square, 0.05)).argmin()].item() < 0.1


def test_some_pictures_are_two_at_once():
    pictures = torch.arange(8, dtype=torch.uint8)[:, None, None, None].expand(8, 3, 4, 4) * 20
    other = image_encoder.mix(made := pictures.clone(), 4)
    assert torch.equal(made[4:], pictures[4:]) and torch.equal(other[4:], torch.arange(4, 8))
    assert set(other[:4].tolist()) == set(range(4)) and (other[:4] != torch.arange(4)).all()
    ours, theirs = pictures[:4].float(), pictures[other[:4]].float()
    share = (made[:4].float() - ours) / (theirs - ours)
    assert share.min() > 0.17 and share.max() < 0.83, "rounded, of 20 and more"
    assert torch.equal(image_encoder.mix(same := pictures.clone(), 0), torch.arange(8)) and torch.equal(same, pictures)


def test_drawings_come_with_what_was_asked_for(monkeypatch, tmp_path):
    monkeypatch.setattr(build_drawings, "STEPS", 1)
    monkeypatch.setattr(build_drawings, "EMPTY", 0.5)
    made = build_drawings.draw(4, 2, "cpu", batch=4)
    assert made["pictures"].shape == (4, 3, 128, 224) and made["pictures"].dtype == torch.uint8
    shown = [i for i in made["things"].tolist() if i != build_drawings.NOTHING]
    assert 0 < len(shown) < 4 and not any(catalogue()[i]["held_out"] for i in shown) and len(made["texts"]) == 4
    assert build_drawings.draw(4, 3, "cpu", batch=4)["texts"] != made["texts"]
    build_drawings.save(made, tmp_path / "four.pt")
    again = build_drawings.load(tmp_path / "four.pt")
    assert again["texts"] == made["texts"] and torch.equal(again["things"], made["things"])
    assert (again["pictures"].float() - made["pictures"].float()).abs().mean() < 8, (
        "noise, here, which WebP does not like"
    )


def test_what_is_unseen_is_judged_by_the_nearest_answer(world):
    answers = torch.zeros(len(KINDS), 3, 6)
    answers[:, :, 0] = 1 + torch.arange(len(KINDS))[:, None]  # one for each kind, whichever way
    centres = Centres(answers, answers[0, :2], 1.0)

    class Knows(Looker):
        def forward(self, pixels):
            return SimpleNamespace(
                image_embeds=torch.full((len(pixels), 6), 0.0).index_fill_(1, torch.tensor([0]), self.says)
            )

    always = Knows()
    always.says = 1.0 + INDEX["drive"]
    said = image_encoder.unseen(always, world, centres, always, 40)
    assert 0 < float(said.split("right ")[1]) < 0.5, "some things drive, most do not"
    assert " wrong 0.0000 " in said


def test_reach_puts_the_answers_further_out(few):
    near, far = (Centres.of(Looker(), few.on("cpu", 5), each=4, reach=reach) for reach in (1, 1.5))
    assert near.kind.abs().sum() > 0 and torch.allclose(far.kind, 1.5 * near.kind)
    assert torch.allclose(far.nothing, 1.5 * near.nothing)


@pytest.mark.parametrize(("layers", "patch"), [(4, 28), (5, 14)])
def test_an_encoder_is_made_in_the_shape_of_its_weights(layers, patch):
    from svd_lab.training.networks.video import clip_of, make_clip

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
    a, b = pool.any(50)
    assert a.shape == (50, 1) and torch.equal(a[:, 0].long(), b)
    assert pool.newest(9)[1].tolist() == [3, 3] and Ring(1, 4).size == 4


@pytest.mark.parametrize(("soft", "share"), [(0.0, 0.0), (0.2, 0.25)])
def test_the_stage_brings_the_encoder_nearer_and_leaves_the_unet_alone(tmp_path, monkeypatch, capsys, soft, share):
    """Ten steps on 32 pictures of the shipped weights, towards answers that are easy to learn: one for all."""
    from svd_lab.training.loop.stretch import load_parts

    torch.manual_seed(0)
    every = torch.randn(1, 1, 64).expand(len(KINDS), 3, 64)
    monkeypatch.setattr(Centres, "of", lambda *_: Centres(every, every[0, :2], 64.0))
    weights = str(mini_folder())
    settings = dict(
        weights=weights, teacher="", each=1, reach=1, seed=1, pool=32, render=16, prefill=32, two=0, nothing=0.1, patch=0,
        layers=0, designs="", muon=0.01, peak=0.3, ema=0.5, seconds=600.0, begin=0.0, end=1.0, steps=10, every=100, batch=16,
        facing=0.3, warm=1, out=str(tmp_path), drawings=str(tmp_path / "drawings.pt"), drawn=0.25,
        soft=soft, mixed=share,
    )  # fmt: skip
    pictures, things = (
        torch.randint(256, (3, 3, 128, 224), dtype=torch.uint8),
        torch.tensor([0, 5, build_drawings.NOTHING]),
    )
    build_drawings.save(dict(pictures=pictures, things=things, texts=["", "", ""]), settings["drawings"])
    image_encoder.train(SimpleNamespace(**settings))
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("clip ") and "unseen" in line]
    far = [float(line.split("unseen ")[1].split()[0]) for line in lines]
    assert len(far) == 3 and far[2] < 0.9 * far[0], "the last one is of the averaged weights"
    assert all(" of drawings " in line for line in lines)
    before, after = load_parts(weights), load_parts(tmp_path / "clip.pt")
    assert all(torch.equal(after["unet"][k], v) for k, v in before["unet"].items())
    assert any(not torch.equal(after["clip"][k], v) for k, v in before["clip"].items())
