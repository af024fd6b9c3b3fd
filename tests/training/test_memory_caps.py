"""Measuring under memory caps: rows are shown and saved one by one, and the cap is removed afterwards."""

import json

import pytest
import torch

from svd_lab.training.measure import memory_caps


def test_rows_of_the_measurement_are_shown_and_saved_one_by_one(monkeypatch, tmp_path, capsys):
    """The measuring itself needs a GPU; its result is replaced, and the third row never comes."""

    def under(cap, name, *_):
        if name == "blocks":
            raise KeyboardInterrupt
        row = {"cap_gb": cap, "placement": "whole" if cap else name, "estimate": 8e9, "card": 9e9}
        if cap == 8:
            return row | {"error": "there is too little memory"}
        return row | {"peak": 7.9e9, "off": 0.01, "seconds": 2.5, "advice": "fewer", "usable_after": True}

    monkeypatch.setattr(memory_caps, "_under", under)
    monkeypatch.setattr(memory_caps, "choose_device", lambda device: (torch.device("cuda", 0), ""))
    capped = []
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda *given: capped.append(given))
    file = tmp_path / "rows.json"
    with pytest.raises(KeyboardInterrupt):
        memory_caps.main(["--caps", "16", "8", "--placements", "blocks", "--json", str(file)])
    lines = capsys.readouterr().out.splitlines()
    assert (
        lines[0].split()[:2] == ["cap", "placement"] and "usable after: True" in lines[1] and "too little" in lines[2]
    )
    assert [row["cap_gb"] for row in json.loads(file.read_text())] == [16, 8]
    assert capped == [(1.0, 0)], "the cap must not stay"
    assert memory_caps.main(["--placements", "tiny"]) == 1 and "'whole', 'pieces'" in capsys.readouterr().err
