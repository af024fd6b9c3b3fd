"""The shipped world of moving things: deterministic, and its motion a function of what a model can see and is given."""

import dataclasses

import pytest
import torch

from svd_lab.mini.catalogue import catalogue, cutout
from svd_lab.world.backgrounds import PALETTES, SHAPES, Draw, backgrounds
from svd_lab.world.clips import FRAMES
from svd_lab.world.contact_sheets import SHEET_BYTES, write_sheets
from svd_lab.world.measures import centroid, energy, grow, travel
from svd_lab.world.motion import DIRECTIONAL, INDEX, KINDS
from svd_lab.world.scenes import World

CODES = {t["code"]: i for i, t in enumerate(catalogue())}
ROCKET, RABBIT, HORSE, CAR, BOAT, BALL, BALLOON = (
    CODES[c] for c in ("1f680", "1f407", "1f40e", "1f697", "26f5", "26bd", "1f388")
)
ONE_OF_EACH = [next(i for i, t in enumerate(catalogue()) if t["kind"] == k and not t["held_out"]) for k in KINDS]
# What `World` drew when the figures of docs/measures.md were measured.
MEASURED_THINGS = [
    ["blowfish", "man biking"],
    ["balloon", "service dog"],
    ["mosquito", "ring buoy"],
    ["fish", "two-hump camel"],
]
MEASURED_FACING = [-1, 0, -1, -1]
MEASURED_MEANS = [[0.59199, 0.59063], [0.49208, 0.49745], [0.41648, 0.40948], [0.78657, 0.77626]]


@pytest.fixture(scope="module")
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


def test_every_kind_of_motion_has_known_things_named_in_both_languages():
    things = catalogue()
    assert len(things) >= 150
    assert len({t["code"] for t in things}) == len(things)
    assert {t["kind"] for t in things if not t["held_out"]} == set(KINDS)
    assert all(t["en"].strip() for t in things)
    foreign = {t["ko"] for t in things if not any("가" <= c <= "힣" for c in t["ko"])}
    assert foreign <= {"DNA"}, "which Korean writes in Latin letters too"


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


def test_frame_0_is_the_input_picture(known):
    c = render(known, 1, 12, nothing=0.4, two=0.3)
    assert c.camera.any()
    for picture, frame in zip(c.pictures(), c.video[:, 0], strict=True):
        assert picture.mode == "RGB"
        assert picture.size == (224, 128)
        given = torch.tensor(list(picture.tobytes())).view(128, 224, 3).permute(2, 0, 1) / 255
        assert (given - frame).abs().max() <= 0.51 / 255
    bare = (c.alpha[:, 0] == 0)[:, None]
    assert ((c.video[:, 0] - c.background).abs() * bare).max() < 1e-4, "the camera starts at the input picture, too"


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
        assert a < 1e-3, f"{kind}: nothing moves in bucket 0"
        assert a < b < c, kind


def test_fps_slows_the_motion_down(known):
    settings = dict(bucket=127, two=0, nothing=0, only=[HORSE] * 10)
    early, late = (torch.tensor([0, k]).expand(10, 2) for k in (5, 10))
    slow, fast = render(known, 8, 10, fps=14, at=late, **settings), render(known, 8, 10, fps=7, at=early, **settings)
    both = inside(slow, slice(None)) & inside(fast, slice(None))
    assert both.sum() >= 4
    assert (shift(slow[both], 1) - shift(fast[both], 1)).abs().max() < 0.03, (
        "at twice the fps, the same place after twice as many frames"
    )


def test_nothing_enters_late(known):
    clips = render(known, 9, 24, bucket=160, nothing=0)
    area = clips.alpha.sum((-1, -2))
    assert (area[:, 0] > 0.4 * area.amax(1)).all()
    alpha = clips[clips.kind[:, 1] < 0].alpha
    reach = grow(alpha[:, :-1] > 0.02, 32)
    assert not ((alpha[:, 1:] > 0.5) & ~reach).any(), "every new pixel is near an old one: no jumps, no duplicates"


def test_the_median_thing_travels_a_third_of_its_height(known):
    for world in (known, World(things="held_out")):
        far = []
        for seed in range(3):
            at = torch.tensor([0, 5, 9, 11, 13]).expand(16, 5)
            clips = render(world, 20 + seed, 16, bucket=127, fps=7, two=0, nothing=0, at=at)
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


def test_the_world_is_the_one_that_docs_measures_was_measured_on(known):
    """Training worlds may change; after a change here docs/measures.md would no longer describe this world."""
    clips = render(known, 1_000_002, 4, bucket=127, fps=7, two=0.5, nothing=0.1)
    assert [[catalogue()[i]["en"] if i >= 0 else "" for i in row] for row in clips.thing.tolist()] == MEASURED_THINGS
    assert clips.facing.tolist() == MEASURED_FACING
    means = clips.video.mean((2, 3, 4))[:, [0, 13]]
    assert torch.allclose(means, torch.tensor(MEASURED_MEANS), atol=2e-4), means.tolist()


def test_the_frames_and_inputs_of_a_subset_are_those_of_the_whole(known):
    clips = render(known, 11, 4, at=torch.zeros(4, 1))
    some = clips[clips.fps > clips.fps.min()]
    assert 0 < len(some) < 4
    assert torch.equal(some.video, clips.video[clips.fps > clips.fps.min()])
    assert torch.equal(type(clips).join([clips[:1], clips[1:]]).video, clips.video)


def test_wrong_names_of_things_are_refused(known):
    with pytest.raises(ValueError, match='"known", "held_out" or "all", not \'new\''):
        World(things="new")
    stranger = next(i for i in range(len(catalogue())) if i not in known.keep)
    with pytest.raises(ValueError, match=rf"not in this world: \[{stranger}\]"):
        known.clips(1, only=[stranger])


def test_contact_sheets_stay_small_and_split_into_pages(known, tmp_path):
    clips = render(known, 12, 5, at=torch.arange(14)[[0, 3, 6]].expand(5, 3))
    paths = write_sheets(list(clips.video), tmp_path / "sheet", rows_a_sheet=2)
    assert [path.name for path in paths] == ["sheet-0.png", "sheet-1.png", "sheet-2.png"]
    assert all(0 < path.stat().st_size < SHEET_BYTES for path in paths)
