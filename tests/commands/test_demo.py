"""What `svd-lab demo` promises: a video of each picture, and a contact sheet of them all."""

import importlib.util

from helpers import make_picture
from PIL import Image

import svd_lab
from svd_lab import generate_video
from svd_lab.bundled import PICTURE_FOLDER
from svd_lab.commands import demo, main


def test_it_makes_a_video_per_picture_and_one_contact_sheet(tiny_folder, tmp_path, monkeypatch, capsys):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for seed, name in enumerate(["rocket.png", "rabbit.jpg"]):
        make_picture((120, 80), seed).save(pictures / name)
    (pictures / "CREDITS.md").write_text("not a picture")
    monkeypatch.setitem(generate_video.__kwdefaults__, "num_frames", 2)
    monkeypatch.setitem(generate_video.__kwdefaults__, "num_inference_steps", 1)
    out = tmp_path / "results" / "deep"
    arguments = ["demo", "--out", out, "--pictures", pictures, "--model", tiny_folder, "--device", "cpu"]
    assert main.main([str(argument) for argument in arguments]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["contact-sheet.png", "rabbit.mp4", "rocket.mp4"]
    sheet = Image.open(out / "contact-sheet.png")
    assert sheet.width >= 2 * 96 and sheet.height >= 2 * 64
    halves = [sheet.crop((0, top, sheet.width, top + sheet.height // 2)).tobytes() for top in (0, sheet.height // 2)]
    assert halves[0] != halves[1], "each video has its own row"
    text = capsys.readouterr().out
    assert str(out / "rocket.mp4") in text and str(out / "contact-sheet.png") in text


def test_it_computes_in_the_fused_way_on_a_cpu_unless_told_otherwise(tmp_path, monkeypatch):
    levels = []
    monkeypatch.setattr(svd_lab, "load_video_pipeline", lambda *_, speed, **__: levels.append(speed))
    monkeypatch.setattr(demo, "make_demo", lambda _folder, _out, _seed, load: load())
    for more in ([], ["--speed", "exact"]):
        assert main.main(["demo", "--device", "cpu", *more]) == 0
    assert levels == ["fused", "exact"]


def test_without_pictures_it_says_where_it_looked(tmp_path, capsys):
    assert main.main(["demo", "--pictures", str(tmp_path / "none")]) == 1
    err = capsys.readouterr().err
    assert str(tmp_path / "none") in err and "--pictures" in err


def test_the_bundled_pictures_are_in_the_package():
    assert importlib.util.find_spec("svd_lab").submodule_search_locations[0] in str(PICTURE_FOLDER)
