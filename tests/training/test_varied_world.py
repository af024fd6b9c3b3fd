"""The training world: more varied to look at than the shipped one, but its things move the same."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch

from svd_lab.mini.catalogue import catalogue
from svd_lab.training.text.scene_grammar import things
from svd_lab.training.world.places import PAINTERS, painted_names
from svd_lab.training.world.riders import FILES, RIDERS, mounted_cells
from svd_lab.training.world.varied_world import KEYS, OFTEN_REVERSED, RIDING, VariedWorld, camouflaged, softened
from svd_lab.world.backgrounds import PALETTES, Draw
from svd_lab.world.measures import centroid
from svd_lab.world.motion import INDEX
from svd_lab.world.scenes import World

pytestmark = pytest.mark.slow  # networks, worlds of a gigabyte, processes: the workshop's tests are the slow layer's

CAR, HORSE, BALL, BALLOON = (
    next(i for i, t in enumerate(catalogue()) if t["code"] == code) for code in ("1f697", "1f40e", "26bd", "1f388")
)


@pytest.fixture  # of one test: two worlds at once take a gigabyte
def known():
    return World(things="known")


def render(world, seed, n, **settings):
    """Clips of `world` as if it had been created with `seed`."""
    world.draw = Draw("cpu", seed)
    return world.clips(n, **settings)


def inside(clips, at):
    """[n] bool: the thing is inside the picture in all of the frames `at`."""
    a = clips.alpha[:, at]
    edge = torch.cat([a[..., 0, :], a[..., -1, :], a[..., :, 0], a[..., :, -1]], -1)
    return edge.amax((1, 2)) == 0


def shift(clips, frame):
    """[n,2]: how far the thing has moved from frame 0 to `frame`, in its heights; x in the direction that it faces."""
    ends = centroid(clips.alpha[:, [0, frame]])
    moved = (ends[:, 1] - ends[:, 0]) / clips.height[:, None]
    return torch.stack([moved[:, 0] * torch.where(clips.facing == 0, 1, clips.facing), moved[:, 1]], 1)


@pytest.fixture(scope="module")
def varied():
    return VariedWorld()


@pytest.fixture
def shares(monkeypatch):
    """Set the shares of the varied world, for example shares(SOFT=1); the others are 0."""

    def set_to(**given):
        for name in ("FLAT", "PAINTED", "CAMOUFLAGED", "SOFT", "TWINS"):
            monkeypatch.setattr(f"svd_lab.training.world.varied_world.{name}", given.get(name, 0.0))

    return set_to


def test_the_varied_world_looks_different_but_moves_the_same(varied):
    ends = torch.tensor([0, 6]).expand(12, 2)
    same = dict(bucket=127, fps=7, two=0, nothing=0, only=[CAR] * 12, at=ends)
    clips, again = render(varied, 4, 12, **same), render(varied, 4, 12, **same)
    assert torch.equal(clips.video, again.video), "deterministic too"
    clips = clips[inside(clips, slice(None))]
    moved = shift(dataclasses.replace(clips, alpha=clips.alpha[:, [0] * 6 + [1]]), 6)
    assert len(clips) >= 4
    assert (moved[:, 0] + 0.042 * 6).abs().max() < 0.05, "a car drives 0.042 of its height a frame, the way it faces"
    assert set(clips.thing[:, 0].tolist()) == {CAR}
    solid, flat = (varied._cut(0, varied.keep.index(CAR) + style * varied.rows) for style in (0, 1))
    overlap = (solid[3] * flat[3]).sum() / torch.maximum(solid[3], flat[3]).sum()
    assert overlap > 0.8, "the two styles draw the same outline, facing the same way"
    assert (solid[:3] - flat[:3]).abs().mean() > 0.02, "but not the same picture"
    sides = torch.stack([clips.alpha[:, 0].amax(1).sum(1), clips.alpha[:, 0].amax(2).sum(1)])
    assert (sides[0] / sides[1]).std() > 0.08, "longer or taller than drawn"


def test_a_share_of_the_varied_world_has_painted_places(varied, shares):
    assert list(PAINTERS) == KEYS and len(KEYS) == len(painted_names()) == 36
    shares(PAINTED=0.5)
    clips = render(varied, 5, 40, nothing=1, at=torch.zeros(40, 1))
    key = clips.place[:, 0] - len(PALETTES)
    assert 10 <= (key >= 0).sum() <= 30
    for caption, k in zip(clips.captions(painted_names()), key.tolist(), strict=True):
        if k >= 0:
            assert painted_names()[k][0] in caption["en"] and painted_names()[k][1] in caption["ko"]
    seen = {k for seed in range(6) for k in places_of(varied, seed) if k >= 0}
    assert len(seen) > 18, "a few calls show most places"
    shares()
    assert (render(varied, 5, 20, at=torch.zeros(20, 1)).place[:, 0] < len(PALETTES)).all()


def places_of(world, seed):
    world.draw = Draw("cpu", seed)
    return (world._scenery(24, torch.zeros(24, dtype=torch.bool))[1][:, 0] - len(PALETTES)).tolist()


def test_camouflaged_things_resemble_their_background_but_stay_visible(varied, shares):
    settings = dict(two=0, nothing=0, only=[CAR, HORSE, BALLOON, BALL] * 4, at=torch.zeros(16, 1))
    seen = []
    for share in (0.0, 1.0):
        shares(CAMOUFLAGED=share)
        clips = render(varied, 6, 16, **settings)
        away = (clips.video[:, 0] - clips.background).abs().amax(1) * (clips.alpha[:, 0] > 0.9)
        seen.append(away.sum((1, 2)) / (clips.alpha[:, 0] > 0.9).sum((1, 2)))
    plain, camouflaged_ones = seen
    assert camouflaged_ones.mean() < 0.6 * plain.mean()
    assert camouflaged_ones.min() > 10 / 255, "still visible"


def test_camouflage_keeps_the_contrast_that_it_is_given():
    torch.manual_seed(0)
    alpha = (torch.rand(5, 1, 16, 16) > 0.4).float()
    cut = torch.cat([torch.rand(5, 3, 16, 16) * alpha, alpha], 1)
    under, ones = torch.rand(5, 3), torch.ones(5, 1, 1, 1)
    away = lambda c: ((c[:, :3] - under[..., None, None] * alpha).abs().amax(1)).sum((1, 2)) / alpha.sum((1, 2, 3))  # noqa: E731
    assert torch.allclose(camouflaged(cut, under, ones, ones, 0 * ones), cut, atol=1e-5)
    assert away(camouflaged(cut, under, 0 * ones, 0 * ones, 0 * ones)).max() < 1e-3, (
        "nothing is left if no contrast must remain"
    )
    kept = camouflaged(cut, under, 0 * ones, 0.2 * ones, 0.2 * ones)
    assert (away(kept) > 0.15).all() and (away(kept) < away(cut)).all()
    assert torch.equal(kept[:, 3:], cut[:, 3:]) and (kept[:, :3] <= kept[:, 3:]).all() and kept.min() >= 0


def test_softness_blurs_all_frames_of_a_clip_alike(varied, shares):
    settings = dict(
        bucket=127, fps=7, two=0, nothing=0, only=[CAR, BALLOON] * 3, at=torch.tensor([0, 5, 9]).expand(6, 3)
    )
    shares()
    sharp = render(varied, 8, 6, **settings)
    shares(SOFT=1.0)
    soft = render(varied, 8, 6, **settings)
    edges = lambda v: v.diff(dim=-1).square().mean((2, 3, 4))  # noqa: E731
    ratio = edges(soft.video) / edges(sharp.video)
    assert (ratio < 0.97).all() and (ratio > 0.2).all()
    assert (ratio.std(1) < 0.05).all(), "the first frame like the rest"
    bare = (soft.alpha == 0)[:, :, None]
    assert ((soft.video - soft.background[:, None]).abs() * bare).max() < 1e-3, "the background too"


def test_a_blur_has_the_given_width():
    dot = torch.zeros(2, 1, 15, 15)
    dot[:, :, 7, 7] = 1
    out = softened(dot, torch.tensor([0.5, 1.0]))
    far = (torch.arange(15.0) - 7) ** 2
    assert torch.allclose(out.sum((1, 2, 3)), torch.ones(2), atol=1e-5)
    assert torch.allclose((out.sum(2)[:, 0] * far).sum(1), torch.tensor([0.25, 1.0]), rtol=0.15)


def test_riders_move_as_their_mounts_do(varied):
    cells, mounts = mounted_cells()
    assert cells.shape == (len(FILES), RIDERS, 112, 112, 4) and len(mounts) == RIDERS
    assert catalogue()[mounts[0]]["en"] == "horse", "the lessons' astronaut on a horse comes first"
    assert len(set(mounts)) >= 15 and not any(catalogue()[i]["held_out"] for i in mounts)
    saddles = {t.index for t in things() if t.saddle}
    assert set(mounts) <= saddles
    shown = cells[..., 3] > 128
    assert shown.any(-1).sum(-1).max() <= 106 and shown.any(-2).sum(-1).max() <= 106, "a margin"
    assert (shown.mean((-1, -2)) > 0.12).all()
    theirs = slice(len(varied.keep), len(varied.keep) + RIDERS)
    assert varied.kinds[theirs].tolist() == [INDEX[catalogue()[i]["kind"]] for i in mounts]
    assert abs(varied.weights[theirs].sum() / varied.weights.sum() - RIDING) < 1e-4
    assert len(VariedWorld(things="held_out").kinds) == len(World(things="held_out").kinds), "riders are known things"


def test_twins_are_the_same_thing_side_by_side(varied, shares):
    shares(TWINS=1.0)
    clips = render(varied, 8, 24, bucket=127, fps=7, two=1, nothing=0, at=torch.zeros(24, 1))
    pair = clips.kind[:, 1] >= 0
    assert pair.sum() > 12
    clips = clips[pair]
    assert torch.equal(clips.thing[:, 0], clips.thing[:, 1])
    left, right = clips.alpha[:, 0, :, :104], clips.alpha[:, 0, :, 120:]
    areas = torch.stack([left.sum((1, 2)), right.sum((1, 2))])
    assert (areas.amin(0) / areas.amax(0)).median() > 0.6


def test_often_reversed_things_are_twice_as_frequent(varied, known):
    names = {catalogue()[i]["en"] for i in known.keep}
    assert set(OFTEN_REVERSED) <= names
    twice = varied.weights[: len(known.keep)] / known.weights
    assert {catalogue()[i]["en"] for i, w in zip(known.keep, twice.tolist(), strict=True) if w == 2} == set(
        OFTEN_REVERSED
    )
    assert set(twice.tolist()) == {1.0, 2.0}


def test_a_share_of_the_calls_draws_the_evaluation_world(varied, known, monkeypatch):
    """They equal those of World, but for an atlas in bytes; `plain` is the share."""
    ours, theirs = varied.evaluation_world(), known.on("cpu", 5)
    ours.draw = Draw("cpu", 5)
    for _ in range(2):
        a, b = ours.clips(4), theirs.clips(4)
        assert torch.equal(a.thing, b.thing) and torch.equal(a.facing, b.facing) and torch.equal(a.place, b.place)
        assert (a.video - b.video).abs().max() < 1.5 / 255
    calls = []
    monkeypatch.setattr(
        VariedWorld, "evaluation_world", lambda self: SimpleNamespace(clips=lambda n, **s: calls.append(n))
    )
    world = varied.on("cpu", 7)
    world.plain = 0.5
    drawn = [world.clips(1) for _ in range(24)]
    assert 5 <= len(calls) == drawn.count(None) <= 19
