"""The catalogue of things: pictures by number, and a clear message where an atlas is missing."""

import pytest

from svd_lab.mini import catalogue


def test_a_picture_is_cut_from_its_cell_of_the_atlas():
    cell = catalogue.cell_of(catalogue.COLUMNS + 1)
    assert (cell.shape, str(cell.dtype)) == ((catalogue.CELL, catalogue.CELL, 4), "uint8")
    assert not cell[:3, :, 3].max() > 12, "a margin, or a neighbour would show"
    assert catalogue.cutout(catalogue.COLUMNS + 1).tobytes() == cell.tobytes()


def test_a_missing_atlas_says_where_it_can_be_found(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "THINGS", tmp_path)
    catalogue._atlas.cache_clear()
    with pytest.raises(FileNotFoundError, match=r"no flat.webp in .*is in the repository: install from there"):
        catalogue.cell_of(0, catalogue.ATLAS_FLAT)
