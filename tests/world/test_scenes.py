"""The world that the mini learns: deterministic, and its motion a function of what a model can see and is told."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch

from svd_lab.mini.catalogue import catalogue, cutout
from svd_lab.training.text.scene_grammar import things
from svd_lab.training.world.places import PAINTERS, painted_names
from svd_lab.training.world.varied_world import (
    FILES,
    HARD,
    KEYS,
    RIDERS,
    RIDING,
    VariedWorld,
    camouflaged,
    mounted_cells,
    softened,
)
from svd_lab.world.backgrounds import PALETTES, SHAPES, Draw, backgrounds
from svd_lab.world.measures import centroid, energy, grow, travel
from svd_lab.world.motion import DIRECTIONAL, INDEX, KINDS
from svd_lab.world.scenes import FRAMES, World

CODES = {t["code"]: i for i, t in enumerate(catalogue())}
ROCKET, RABBIT, HORSE, CAR, BOAT, BALL, BALLOON = (
    CODES[c] for c in ("1f680", "1f407", "1f40e", "1f697", "26f5", "26bd", "1f388")
)
ONE_OF_EACH = [next(i for i, t in enumerate(catalogue()) if t["kind"] == k and not t["held_out"]) for k in KINDS]
# What the code drew that docs/measures.md's figures are of (commit 8d4caa8).
THINGS_THEN = [
    ["blowfish", "man biking"],
    ["balloon", "service dog"],
    ["mosquito", "ring buoy"],
    ["fish", "two-hump camel"],
]
FACING_THEN = [-1, 0, -1, -1]
MEANS_THEN = [[0.59199, 0.59063], [0.49208, 0.49745], [0.41648, 0.40948], [0.78657, 0.77626]]


@pytest.fixture(scope="module")
def known():
    return World(things="known")


def render(world, seed, n, **settings):
    """Clips of `world` as if it had been made with `seed`."""
    world.draw = Draw("cpu", seed)
    return world.clips(n, **settings)


def inside(clips, at):
    """[n]: is the thing wholly in the picture in all of the frames `at`?"""
    a = clips.alpha[:, at]
    edge = torch.cat([a[..., 0, :], a[..., -1, :], a[..., :, 0], a[..., :, -1]], -1)
    return edge.amax((1, 2)) == 0


def shift(clips, frame):
    """[n,2]: how far the thing has moved from frame 0 to `frame`, in its heights; x as the thing faces."""
    way = centroid(clips.alpha[:, [0, frame]])
    moved = (way[:, 1] - way[:, 0]) / clips.height[:, None]
    return torch.stack([moved[:, 0] * torch.where(clips.facing == 0, 1, clips.facing), moved[:, 1]], 1)


def test_at_least_150_things_every_kind_known_and_named_in_both_languages():
    things = catalogue()
    assert len(things) >= 150
    assert len({t["code"] for t in things}) == len(things)
    assert {t["kind"] for t in things if not t["held_out"]} == set(KINDS)
    assert all(t["en"].strip() for t in things)
    foreign = {t["ko"] for t in things if not any("가" <= c <= "힣" for c in t["ko"])}
    assert foreign <= {"DNA"}, "which Korean writes so too"


def test_every_thing_has_a_picture_of_its_own():
    atlas = World(things="all").atlas[0]  # [n,4,112,112]
    shown = (atlas[:, 3] > 0.5).float().mean((1, 2))
    assert shown.min() > 0.02, catalogue()[int(shown.argmin())]
    assert atlas[:, 3, :3].max() < 0.05, "a margin, or a neighbour would show"
    assert len({bytes((cell * 255).byte().flatten().tolist()) for cell in atlas[:, :, ::4, ::4]}) == len(catalogue())
    picture = cutout(ROCKET)
    assert (picture.mode, picture.size) == ("RGBA", (112, 112))
    alpha = torch.tensor(list(picture.getchannel("A").tobytes())).view(112, 112) / 255
    assert torch.equal(alpha, atlas[ROCKET, 3])


def test_held_out_things_never_appear_among_known_ones(known):
    held = World(things="held_out")
    assert not set(known.keep) & set(held.keep)
    assert len(known.keep) + len(held.keep) == len(catalogue()) == len(World(things="all").keep)
    assert len(held.keep) >= 50
    for world, out in ((known, False), (held, True)):
        shown = {
            i
            for seed in range(3)
            for i in render(world, seed, 12, two=1, at=torch.zeros(12, 1)).thing.flatten().tolist()
        }
        assert len(shown) > 20
        assert all(catalogue()[i]["held_out"] is out for i in shown if i >= 0)


def test_the_same_seed_gives_the_same_clips_and_another_seed_others(known):
    a, b, c = render(known, 5, 3), render(known, 5, 3), render(known, 6, 3)
    for field in dataclasses.fields(a):
        assert torch.equal(getattr(a, field.name), getattr(b, field.name)), field.name
    assert (a.background - c.background).abs().amax((1, 2, 3)).min() > 0.1


def test_clips_have_their_documented_shapes_and_ranges(known):
    c = render(known, 0, 6, nothing=0.3, two=0.5)
    assert c.video.shape == (6, FRAMES, 3, 128, 224)
    assert c.alpha.shape == (6, FRAMES, 128, 224)
    assert c.video.min() >= 0
    assert c.video.max() <= 1
    assert c.video.isfinite().all()
    assert ((c.bucket >= 10) & (c.bucket <= 255)).all()
    assert ((c.fps >= 5) & (c.fps <= 15)).all()


def test_frame_0_is_the_given_picture(known):
    c = render(known, 1, 12, nothing=0.4, two=0.3)
    assert c.camera.any()
    for picture, frame in zip(c.pictures(), c.video[:, 0], strict=True):
        assert picture.mode == "RGB"
        assert picture.size == (224, 128)
        given = torch.tensor(list(picture.tobytes())).view(128, 224, 3).permute(2, 0, 1) / 255
        assert (given - frame).abs().max() <= 0.51 / 255
    bare = (c.alpha[:, 0] == 0)[:, None]
    assert ((c.video[:, 0] - c.background).abs() * bare).max() < 1e-4, "the camera, too, starts at the given picture"


def test_backgrounds_stand_still_unless_the_camera_moves(known):
    c = render(known, 2, 12, bucket=200, nothing=0.4)
    bare = (c.alpha == 0)[:, :, None]
    drift = ((c.video - c.background[:, None]).abs() * bare).amax((1, 2, 3, 4))
    assert c.camera.any()
    assert not c.camera.all()
    assert drift[~c.camera].max() < 1e-4
    assert drift[c.camera].min() > 0.01, "on a flat sky even a zoom changes little"


@pytest.mark.parametrize("thing", [ROCKET, RABBIT, HORSE, CAR, BOAT, BALL, BALLOON], ids=lambda i: catalogue()[i]["en"])
def test_motion_is_the_same_at_any_place_size_and_background(known, thing):
    frame = 6
    clips = render(
        known, 3, 12, bucket=127, fps=7, two=0, nothing=0, only=[thing] * 12, at=torch.arange(14)[[0, 6]].expand(12, 2)
    )
    clips = clips[inside(clips, slice(None))]
    clips = dataclasses.replace(clips, alpha=clips.alpha[:, [0] * frame + [1]])
    assert len(clips) >= 4
    moved = shift(clips, frame)
    assert moved.norm(dim=1).min() > 0.1
    assert (moved - moved.mean(0)).abs().max() < 0.04
    assert clips.height.max() - clips.height.min() > 10


@pytest.mark.parametrize("thing", [ROCKET, RABBIT, HORSE, CAR, BOAT], ids=lambda i: catalogue()[i]["en"])
def test_a_mirrored_thing_moves_the_other_way(known, thing):
    assert catalogue()[thing]["kind"] in DIRECTIONAL
    ends = torch.tensor([0, 9]).expand(12, 2)
    clips = render(known, 4, 12, bucket=127, fps=7, two=0, nothing=0, only=[thing] * 12, at=ends)
    x = centroid(clips.alpha)[..., 0]
    direction = 1 if thing == ROCKET else -1  # as drawn: the rocket up and right, all others left
    assert set(clips.facing.tolist()) == {1, -1}
    assert ((x[:, 1] - x[:, 0]) * clips.facing * direction > 4).all()


def test_the_rocket_climbs_and_the_ball_comes_down_again(known):
    at = torch.tensor([0, 4, 8]).expand(8, 3)
    y = centroid(render(known, 5, 8, bucket=100, fps=7, two=0, nothing=0, only=[ROCKET] * 8, at=at).alpha)[..., 1]
    assert (y[:, 0] > y[:, 1]).all()
    assert (y[:, 1] > y[:, 2]).all()
    y = centroid(render(known, 5, 8, bucket=100, fps=7, two=0, nothing=0, only=[BALL] * 8, at=at).alpha)[..., 1]
    assert (y[:, 1] < y[:, 0] - 8).all()
    assert (y[:, 2] > y[:, 1] + 8).all()


def test_a_bigger_bucket_moves_every_kind_of_thing_more(known):
    n, at = len(ONE_OF_EACH), torch.arange(4).expand(len(ONE_OF_EACH), 4)
    still, slow, fast = (
        energy(render(known, 7, n, bucket=b, fps=7, two=0, nothing=0, only=ONE_OF_EACH, at=at).video)
        for b in (0, 40, 127)
    )
    for kind, a, b, c in zip(KINDS, still, slow, fast, strict=True):
        assert a < 1e-3, f"{kind}: bucket 0 stands still"
        assert a < b < c, kind


def test_fps_slows_the_motion_down(known):
    settings = dict(bucket=127, two=0, nothing=0, only=[HORSE] * 10)
    early, late = (torch.tensor([0, k]).expand(10, 2) for k in (5, 10))
    slow, fast = render(known, 8, 10, fps=14, at=late, **settings), render(known, 8, 10, fps=7, at=early, **settings)
    both = inside(slow, slice(None)) & inside(fast, slice(None))
    assert both.sum() >= 4
    assert (shift(slow[both], 1) - shift(fast[both], 1)).abs().max() < 0.03, (
        "twice the fps: the same place, twice as late"
    )


def test_nothing_enters_late(known):
    clips = render(known, 9, 24, bucket=160, nothing=0)
    area = clips.alpha.sum((-1, -2))
    assert (area[:, 0] > 0.4 * area.amax(1)).all()
    alpha = clips[clips.kind[:, 1] < 0].alpha
    reach = grow(alpha[:, :-1] > 0.02, 32)
    assert not ((alpha[:, 1:] > 0.5) & ~reach).any(), "every new pixel lies near an old one: no jumps, no doubles"


def test_the_median_thing_travels_a_third_of_its_height(known):
    for world in (known, World(things="held_out")):
        far = []
        for seed in range(3):
            clips = render(world, 20 + seed, 16, bucket=127, fps=7, two=0, nothing=0)
            far.append(travel(clips[~clips.camera]))
        assert torch.cat(far).quantile(0.5) >= 1 / 3


def test_captions_come_in_english_and_korean_and_name_what_is_shown(known):
    clips = render(known, 10, 30, nothing=0.3, two=0.4, at=torch.zeros(30, 1))
    captions = clips.captions()
    assert len(captions) == 30
    kinds = {"none": 0, "unknown": 0, "one": 0, "two": 0}
    for caption, (i, j), kind in zip(captions, clips.thing.tolist(), clips.kind[:, 0].tolist(), strict=True):
        assert set(caption) == {"en", "ko"}
        assert any("가" <= c <= "힣" for c in caption["ko"])
        for k in (i, j):
            if k >= 0:
                assert catalogue()[k]["en"] in caption["en"]
                assert catalogue()[k]["ko"] in caption["ko"]
        kinds["two" if j >= 0 else "one" if i >= 0 else "unknown" if kind >= 0 else "none"] += 1
    assert min(kinds.values()) >= 1, kinds


def test_backgrounds_vary_and_stay_in_range():
    picture, labels = backgrounds(Draw("cpu", 1), 96)
    assert picture.shape == (96, 3, 128, 224)
    assert picture.min() >= 0
    assert picture.max() <= 1
    assert picture.isfinite().all()
    assert set(labels[:, 1].tolist()) == set(range(len(SHAPES)))
    assert -1 in labels[:, 0]
    assert len(set(labels[:, 0].tolist())) > len(PALETTES) // 2
    small = torch.nn.functional.adaptive_avg_pool2d(picture, (4, 7)).flatten(1)
    apart = torch.cdist(small, small) + torch.eye(96) * 9
    assert apart.min() > 0.05, "no two alike"


def test_the_index_of_kinds_is_that_of_the_table():
    assert [INDEX[k] for k in KINDS] == list(range(len(KINDS)))


def test_the_measures_world_is_the_one_that_its_figures_are_of(known):
    """What training sees may change; a change here would make docs/measures.md a table of something else."""
    clips = render(known, 1_000_002, 4, bucket=127, fps=7, two=0.5, nothing=0.1)
    assert [[catalogue()[i]["en"] if i >= 0 else "" for i in row] for row in clips.thing.tolist()] == THINGS_THEN
    assert clips.facing.tolist() == FACING_THEN
    means = clips.video.mean((2, 3, 4))[:, [0, 13]]
    assert torch.allclose(means, torch.tensor(MEANS_THEN), atol=2e-4), means.tolist()


@pytest.fixture(scope="module")
def varied():
    return VariedWorld()


@pytest.fixture
def shares(monkeypatch):
    """Set the shares of the varied world: shares(SOFT=1, ...); those not named are 0."""

    def set_to(**given):
        for name in ("FLAT", "PAINTED", "HIDDEN", "SOFT", "TWINS"):
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


def test_painted_places_stand_behind_a_share_of_the_varied_world(varied, shares):
    assert list(PAINTERS) == KEYS and len(KEYS) == len(painted_names()) == 36
    shares(PAINTED=0.5)
    clips = render(varied, 5, 40, nothing=1, at=torch.zeros(40, 1))
    key = clips.place[:, 0] - len(PALETTES)
    assert 10 <= (key >= 0).sum() <= 30
    for caption, k in zip(clips.captions(painted_names()), key.tolist(), strict=True):
        if k >= 0:
            assert painted_names()[k][0] in caption["en"] and painted_names()[k][1] in caption["ko"]
    seen = {k for seed in range(6) for k in varied_places(varied, seed) if k >= 0}
    assert len(seen) > 18, "over a few calls most places come"
    shares()
    assert (render(varied, 5, 20, at=torch.zeros(20, 1)).place[:, 0] < len(PALETTES)).all()


def varied_places(world, seed):
    world.draw = Draw("cpu", seed)
    return (world._scenery(24, torch.zeros(24, dtype=torch.bool))[1][:, 0] - len(PALETTES)).tolist()


def test_hidden_things_look_like_their_background_but_can_still_be_seen(varied, shares):
    settings = dict(two=0, nothing=0, only=[CAR, HORSE, BALLOON, BALL] * 4, at=torch.zeros(16, 1))
    seen = []
    for hidden in (0.0, 1.0):
        shares(HIDDEN=hidden)
        clips = render(varied, 6, 16, **settings)
        away = (clips.video[:, 0] - clips.background).abs().amax(1) * (clips.alpha[:, 0] > 0.9)
        seen.append(away.sum((1, 2)) / (clips.alpha[:, 0] > 0.9).sum((1, 2)))
    plain, hidden = seen
    assert hidden.mean() < 0.6 * plain.mean()
    assert hidden.min() > 10 / 255, "a person can see it"


def test_camouflage_keeps_the_contrast_that_it_promises():
    torch.manual_seed(0)
    alpha = (torch.rand(5, 1, 16, 16) > 0.4).float()
    cut = torch.cat([torch.rand(5, 3, 16, 16) * alpha, alpha], 1)
    under, ones = torch.rand(5, 3), torch.ones(5, 1, 1, 1)
    away = lambda c: ((c[:, :3] - under[..., None, None] * alpha).abs().amax(1)).sum((1, 2)) / alpha.sum((1, 2, 3))  # noqa: E731
    assert torch.allclose(camouflaged(cut, under, ones, ones, 0 * ones), cut, atol=1e-5)
    assert away(camouflaged(cut, under, 0 * ones, 0 * ones, 0 * ones)).max() < 1e-3, "all gone, if nothing must stay"
    kept = camouflaged(cut, under, 0 * ones, 0.2 * ones, 0.2 * ones)
    assert (away(kept) > 0.15).all() and (away(kept) < away(cut)).all()
    assert torch.equal(kept[:, 3:], cut[:, 3:]) and (kept[:, :3] <= kept[:, 3:]).all() and kept.min() >= 0


def test_softness_blurs_whole_clips_alike(varied, shares):
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


def test_a_blur_has_the_width_that_it_is_asked_for():
    dot = torch.zeros(2, 1, 15, 15)
    dot[:, :, 7, 7] = 1
    out = softened(dot, torch.tensor([0.5, 1.0]))
    far = (torch.arange(15.0) - 7) ** 2
    assert torch.allclose(out.sum((1, 2, 3)), torch.ones(2), atol=1e-5)
    assert torch.allclose((out.sum(2)[:, 0] * far).sum(1), torch.tensor([0.25, 1.0]), rtol=0.15)


def test_riders_sit_on_mounts_and_move_as_they_do(varied):
    cells, mounts = mounted_cells()
    assert cells.shape == (len(FILES), RIDERS, 112, 112, 4) and len(mounts) == RIDERS
    assert catalogue()[mounts[0]]["en"] == "horse", "the class's astronaut on a horse comes first"
    assert len(set(mounts)) >= 15 and not any(catalogue()[i]["held_out"] for i in mounts)
    saddles = {t.index for t in things() if t.saddle}
    assert set(mounts) <= saddles
    shown = cells[..., 3] > 128
    assert shown.any(-1).sum(-1).max() <= 106 and shown.any(-2).sum(-1).max() <= 106, "a margin"
    assert (shown.mean((-1, -2)) > 0.12).all()
    theirs = slice(len(varied.keep), len(varied.keep) + RIDERS)
    assert varied.kinds[theirs].tolist() == [INDEX[catalogue()[i]["kind"]] for i in mounts]
    assert abs(varied.weights[theirs].sum() / varied.weights.sum() - RIDING) < 1e-4
    assert len(VariedWorld(things="held_out").kinds) == len(World(things="held_out").kinds), "known things, all of them"


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


def test_what_went_wrong_comes_twice_as_often(varied, known):
    names = {catalogue()[i]["en"] for i in known.keep}
    assert set(HARD) <= names
    twice = varied.weights[: len(known.keep)] / known.weights
    assert {catalogue()[i]["en"] for i, w in zip(known.keep, twice.tolist(), strict=True) if w == 2} == set(HARD)
    assert set(twice.tolist()) == {1.0, 2.0}


def test_a_share_of_the_varied_world_is_the_world_of_the_measure(varied, monkeypatch):
    """The same draws give the same clips as World, but for tables of bytes; and `plain` says how many calls draw so."""
    ours, theirs = varied.measured(), World(seed=5)
    ours.draw = Draw("cpu", 5)
    for _ in range(2):
        a, b = ours.clips(4), theirs.clips(4)
        assert torch.equal(a.thing, b.thing) and torch.equal(a.facing, b.facing) and torch.equal(a.place, b.place)
        assert (a.video - b.video).abs().max() < 1.5 / 255
    asked = []
    monkeypatch.setattr(VariedWorld, "measured", lambda self: SimpleNamespace(clips=lambda n, **s: asked.append(n)))
    world = varied.on("cpu", 7)
    world.plain = 0.5
    drawn = [world.clips(1) for _ in range(24)]
    assert 5 <= len(asked) == drawn.count(None) <= 19
