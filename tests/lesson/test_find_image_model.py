"""find_image_model: "auto" follows the video model's size; what is named is taken."""

from dataclasses import replace

import pytest

from svd_lab.lesson import find_image_model, find_model, model_here
from svd_lab.models.table import IMAGE


def test_auto_suits_the_video_model(monkeypatch):
    video = find_model("mini")
    found = find_image_model("auto", video)
    assert (found.name, found.folder.name, found.size) == ("mini", "text", video.size)
    asked = []
    monkeypatch.setattr(model_here, "find_model", lambda *given: asked.append(given))
    find_image_model("auto", replace(video, size=(1024, 576)))
    find_image_model("mini", replace(video, size=(1024, 576)))
    assert asked == [(IMAGE.real, IMAGE), ("mini", IMAGE)]


def test_a_model_that_is_not_there_is_named():
    with pytest.raises((OSError, ValueError), match="no-such-folder"):
        find_image_model("./no-such-folder", find_model("mini"))
