"""Small worlds and networks, so that a stage of training takes seconds."""

import functools
from unittest.mock import create_autospec

import pytest

from svd_lab.mini.catalogue import catalogue
from svd_lab.training.loop import latent_bank
from svd_lab.training.networks.video import make_unet, make_vae
from svd_lab.training.stages import unet as unet_stage
from svd_lab.world.scenes import World

FOUR = ("rocket", "automobile", "taxi", "balloon")


@pytest.fixture(scope="session")
def four_things():
    """A world of four things, created in no time."""
    entries = [t if t["en"] in FOUR else t | dict(held_out=None) for t in catalogue()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("svd_lab.world.scenes.catalogue", lambda: entries)
        world = World(seed=3)
    assert len(world.keep) == 4
    return world


@pytest.fixture
def draw_four_things(four_things, monkeypatch):
    """Let a stage's module draw from the world of four things instead of its own worlds, whose arguments are still checked."""

    def patch(module, *names):
        small = lambda device="cpu", *_, seed=0, **__: four_things.on(device, seed)  # noqa: E731
        for name in names:
            monkeypatch.setattr(module, name, create_autospec(getattr(module, name), side_effect=small))

    return patch


@pytest.fixture
def narrow_networks(monkeypatch):
    """Stage `unet` with narrow networks."""
    monkeypatch.setattr(unet_stage, "make_unet", functools.partial(make_unet, widths=(32, 64)))
    monkeypatch.setattr(latent_bank, "make_vae", functools.partial(make_vae, widths=(32, 32, 32, 32)))
