"""What lesson 3 makes pictures with: things on a page, and a folder at an address."""

import numpy as np
import pytest
from PIL import Image

from svd_lab import open_image
from svd_lab.lesson.pictures import served, stand, thing_names


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_thing_stands_where_it_is_said_and_nowhere_else(mode):
    page = Image.new(mode, (200, 100), (10, 200, 10) if mode == "RGB" else (0, 0, 0, 0))
    made = stand(page, "rabbit", 0.25, 0.5, 0.6)
    assert made.mode == mode and made.size == page.size
    changed = (np.asarray(made) != np.asarray(page)).any(2)
    rows, columns = np.nonzero(changed)
    assert abs((columns.min() + columns.max()) / 2 - 50) <= 2 and abs((rows.min() + rows.max()) / 2 - 50) <= 2
    assert abs(rows.max() - rows.min() + 1 - 60) <= 2
    assert np.asarray(page).max() == np.asarray(Image.new(mode, (1, 1), page.getpixel((0, 0)))).max(), (
        "the page is as it was"
    )


def test_a_thing_that_is_not_there_is_refused():
    assert "rabbit" in thing_names()
    with pytest.raises(ValueError, match="no thing 'wombat'"):
        stand(Image.new("RGB", (9, 9)), "wombat", 0.5, 0.5, 0.5)


def test_a_folder_is_served_while_the_block_runs(tmp_path, capfd):
    Image.new("RGB", (8, 6), (1, 2, 3)).save(tmp_path / "a.png")
    with served(tmp_path) as address:
        assert open_image(f"{address}/a.png").getpixel((0, 0)) == (1, 2, 3)
        with pytest.raises(FileNotFoundError):
            open_image(f"{address}/b.png")
    with pytest.raises(ConnectionError):
        open_image(f"{address}/a.png")
    assert capfd.readouterr() == ("", "")
