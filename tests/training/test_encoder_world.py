"""Things as other designers draw them: the icon sets of build_designs, and the image encoder's training world."""

import json
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image

from svd_lab.mini.catalogue import CELL, COLUMNS, catalogue, cell_of
from svd_lab.training.assets import build_designs
from svd_lab.training.assets.build_designs import Design
from svd_lab.training.world import encoder_world, invented, varied_world
from svd_lab.training.world.encoder_world import EncoderWorld, bent, missing, redrawn
from svd_lab.training.world.varied_world import CLOSE_THINGS, INVENTED, NEAR, VariedWorld
from svd_lab.world.atlas import as_atlas
from svd_lab.world.backgrounds import Draw
from svd_lab.world.motion import DIRECTIONAL, KINDS

pytestmark = pytest.mark.slow  # networks, worlds of a gigabyte, processes: the workshop's tests are the slow layer's

HELD_OUT = next(t for t in catalogue() if t["held_out"] and t["kind"] == "run")
LEFT_HALF = '<rect x="0" y="4" width="8" height="8" fill="#f00"/><rect x="8" y="4" width="8" height="8" fill="#00f"/>'


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """An icon set in iconify's format: a rocket under another name, a snail, a held-out thing."""
    folder = tmp_path_factory.mktemp("package")
    names = ["rocket-ship", "snail", HELD_OUT["en"].replace(" ", "-"), "person-surfing"]
    icons = dict(
        prefix="streamline-emojis",
        width=16,
        height=16,
        icons={name: dict(body=LEFT_HALF) for name in names},
        aliases=dict(rocket=dict(parent="rocket-ship"), ghost=dict(parent="not there")),
    )
    (folder / "icons.json").write_text(json.dumps(icons))
    return folder


@pytest.fixture(scope="module")
def designs(package, tmp_path_factory):
    out = tmp_path_factory.mktemp("designs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["build_designs", str(out), str(package)])
        build_designs.main()
    return out


@pytest.fixture(scope="module")
def varied():
    return VariedWorld()


@pytest.fixture(scope="module")
def encoder():
    return EncoderWorld()


def cell(atlas, name):
    i = [t["en"] for t in catalogue()].index(name)
    y, x = i // COLUMNS * CELL, i % COLUMNS * CELL
    return np.asarray(atlas)[y : y + CELL, x : x + CELL].astype(int)


def test_a_design_finds_things_by_its_own_names(package):
    design = Design(package)
    find = lambda en: design.find(next(t for t in catalogue() if t["en"] == en))  # noqa: E731
    assert find("rocket") == "rocket-ship" and find("snail") == "snail" and find("ghost") is None
    design.by_code = {"1f680": "snail"}  # the character of an icon counts, if the set gives it
    assert find("rocket") == "snail" and find("snail") is None


def test_an_atlas_has_only_known_things_of_a_design_facing_left(designs):
    atlas = Image.open(designs / "streamline-emojis.webp").convert("RGBA")
    rocket, snail = cell(atlas, "rocket"), cell(atlas, "snail")
    middle = CELL // 2
    assert rocket[middle, 20, 0] > 200 > 60 > rocket[middle, 20, 2], "red on its left, as drawn"
    assert snail[middle, 20, 2] > 200 > 60 > snail[middle, 20, 0], "this design's snail faces right, so it is mirrored"
    assert not cell(atlas, HELD_OUT["en"])[..., 3].any() and not cell(atlas, "ghost")[..., 3].any()
    assert not cell(atlas, "person surfing")[..., 3].any(), "it is not clear which way it faces"


def test_every_exception_names_a_known_thing_with_a_direction():
    directed = {t["en"] for t in catalogue() if t["kind"] in DIRECTIONAL and not t["held_out"]}
    for table in (build_designs.MIRRORED, build_designs.UNLIKE):
        for design, names in table.items():
            assert names and set(names) <= directed, design


def test_a_world_shows_the_things_that_a_design_has(designs, varied, monkeypatch):
    monkeypatch.setattr(varied_world, "INVENTED", 14)  # fewer are drawn sooner
    world = VariedWorld(designs=designs)
    rocket, ghost = (world.keep.index([t["en"] for t in catalogue()].index(n)) for n in ("rocket", "ghost"))
    theirs = world.atlas[0, 2 * world.rows :]
    assert len(theirs) == world.rows and torch.equal(theirs[ghost], world.atlas[0, ghost]), "missing ones in 3D"
    assert not torch.equal(theirs[rocket], world.atlas[0, rocket])
    assert world._shares() == pytest.approx([0.45, 0.3, 0.25]) and varied._shares() == pytest.approx([0.6, 0.4])
    styles = world._style(4000).div(world.rows, rounding_mode="floor").bincount() / 4000
    assert styles.tolist() == pytest.approx([0.45, 0.3, 0.25], abs=0.03)


def test_a_folder_without_designs_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no atlas \(\*.webp\) in .*build_designs"):
        EncoderWorld(designs=tmp_path)


def test_things_face_the_way_that_they_move(encoder):
    """80 trains, both ways: their shape says which way they face, whatever was changed about them."""
    world = encoder.on("cpu", 4)
    train = next(i for i in world.keep if catalogue()[i]["en"] == "high-speed train")
    clips = world.clips(80, two=0, nothing=0, only=[train] * 80, at=torch.zeros(80, 1))
    assert clips.kind[:, 0].eq(list(KINDS).index("drive")).all() and set(clips.facing.tolist()) == {-1, 1}
    # Its nose is low and its tail high: most of its upper part is behind its middle.
    x = torch.linspace(-1, 1, clips.alpha.shape[-1])
    shift = []
    for alpha, facing in zip(clips.alpha[:, 0], clips.facing.tolist(), strict=True):
        rows = alpha.sum(1)
        top = alpha[: int((rows.cumsum(0) < 0.4 * rows.sum()).sum())]
        centre = lambda a: (a * x).sum() / a.sum().clamp(min=1)  # noqa: E731
        shift.append(facing * (centre(top) - centre(alpha)).item())
    assert np.mean(np.array(shift) > 0) > 0.8


@pytest.mark.parametrize("how", [bent, redrawn, missing])
def test_some_of_the_things_change_and_stay_cut_outs(how, monkeypatch):
    known = [i for i, t in enumerate(catalogue()) if not t["held_out"]]
    cut, draw = as_atlas(np.stack([cell_of(i) for i in known[:64]]), "cpu")[0], Draw("cpu", 2)
    out = how(cut, draw)
    changed = (out - cut).abs().amax((1, 2, 3)) > 0.05
    assert out.shape == cut.shape and 0 < changed.float().mean() < 1 and torch.isfinite(out).all()
    assert (out[:, :3] <= out[:, 3:] + 1e-3).all() and out.min() >= -1e-4 and out.max() <= 1 + 1e-3, "premultiplied"
    for share in ("BENT", "GRADIENT", "TEXTURE", "WASHED", "OUTLINED", "CUT"):
        monkeypatch.setattr(encoder_world, share, 0)
    assert torch.equal(how(cut, draw), cut)


def test_only_pictures_without_a_thing_may_be_close_ups(varied, monkeypatch):
    world = varied.on("cpu", 8)
    drawn = []
    monkeypatch.setattr(world, "_crowd", lambda picture, *_: drawn.append(len(picture)) or picture)
    world.clips(60, nothing=1.0, at=torch.zeros(60, 1))
    world.clips(60, nothing=0.0, at=torch.zeros(60, 1))
    assert 20 < drawn[0] < 40 and drawn[1] == 0
    monkeypatch.undo()
    before = torch.full((6, 3, 128, 224), 0.5)
    after = world._crowd(before, NEAR, CLOSE_THINGS)
    assert after.shape == before.shape and ((after - before).abs().amax(1) > 0.02).float().mean() > 0.5, (
        "the things fill it"
    )
    assert 0 <= after.min() and after.max() <= 1


def test_behind_some_things_there_are_paler_ones(encoder, monkeypatch):
    monkeypatch.setattr(encoder_world, "BUSY", 1.0)
    world = encoder.on("cpu", 8)
    monkeypatch.setattr(VariedWorld, "_scenery", lambda self, n, empty: (torch.full((n, 3, 128, 224), 0.5), None))
    empty = torch.arange(12) % 3 == 0
    picture, _ = world._scenery(12, empty)
    changed = (picture - 0.5).abs().amax((1, 2, 3))
    assert torch.equal(changed > 0.01, ~empty)
    assert changed.max() <= 0.5 * encoder_world.PALE[1] + 1e-6, "at most this opaque"


def where(page, colour):
    """Mean position of the pixels of a colour, in shares of the page."""
    rows, columns = np.nonzero(
        (np.abs(np.asarray(page)[..., :3].astype(int) - colour).max(-1) < 6) & (np.asarray(page)[..., 3] > 200)
    )
    return columns.mean() / page.width, rows.mean() / page.height


@pytest.mark.parametrize("family", invented.FAMILIES, ids=lambda f: f.__name__)
def test_invented_things_are_complete_and_never_the_same(family):
    thing = next(t for t in catalogue() if t["en"] == invented.FAMILIES[family])
    assert not thing["held_out"]
    pages = [invented.invent(family, Random(seed)) for seed in range(6)]
    assert (
        len({page.tobytes() for page in pages}) == 6
        and pages[0].tobytes() == invented.invent(family, Random(0)).tobytes()
    )
    for page in pages:
        alpha = np.asarray(page)[..., 3] > 128
        assert 0.04 < alpha.mean() < 0.6
        rim = np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]])
        assert rim.mean() < 0.1, "cut off by the page's edge"


def test_invented_things_face_left_and_rockets_up_to_the_right():
    for seed in range(12):
        for family in (invented.car, invented.truck, invented.bus):
            pen = invented.Pen(Random(seed))
            family(pen)
            assert where(pen.page, (255, 235, 150))[0] < 0.2, "headlights"
        pen = invented.Pen(Random(seed))
        invented.rocket(pen)
        x, y = where(pen.page, (255, 165, 45))
        assert x < 0.42 and y > 0.58, "the flame is down on the left"


def test_a_share_of_the_varied_world_is_invented_things(varied):
    cells, like = invented.cells(INVENTED, 2)
    assert cells.shape == (2, INVENTED, CELL, CELL, 4) and not np.array_equal(cells[0], cells[1])
    theirs = slice(varied.rows - INVENTED, varied.rows)
    assert varied.ids[theirs].tolist() == list(like)
    assert varied.kinds[theirs].tolist() == [list(KINDS).index(catalogue()[i]["kind"]) for i in like]
    assert (varied.weights[theirs].sum() / varied.weights.sum()).item() == pytest.approx(VariedWorld.invented)
    shown = (varied._cut(0, torch.arange(varied.rows)[theirs])[:, 3] > 0.5).float().mean((1, 2))
    assert shown.min() > 0.05
