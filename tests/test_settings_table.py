"""Whatever names the settings agrees with their table: a new setting is one row of it, the signatures, and this test."""

import ast
import inspect
import re
from pathlib import Path

import jupytext
import pytest

import svd_lab
from svd_lab.batch.items import request_hash
from svd_lab.commands.main import build_parser
from svd_lab.recipe_file import read_recipe
from svd_lab.settings import CALLBACKS, check_settings
from svd_lab.settings_table import FITS, SETTINGS, default_of, settings_of
from svd_lab.studio.fields import TEXT_FIELDS, VIDEO_FIELDS, parse, to_text
from svd_lab.studio.session import Session

CALLS = ("generate_video", "generate_text2video")
NO_SETTINGS = {"image", "video_file", "pipe", "image_pipe", *CALLBACKS}  # the other arguments of the calls
TYPES = {"whole": "int", "real": "float", "side": "int", "fit": "str", "prompt": "str"}
SOURCES = sorted((Path(__file__).parents[1] / "lessons" / "src").glob("*.py"))
LESSON_PARAMETERS = {"model", "image_model", "picture", "out_dir"}  # that are not settings


@pytest.mark.parametrize("call", CALLS)
def test_the_signature_has_the_settings_with_their_defaults_and_types(call):
    parameters = inspect.signature(getattr(svd_lab, call)).parameters
    assert set(parameters) - NO_SETTINGS == set(settings_of(call))
    for name, row in settings_of(call).items():
        default = inspect.Parameter.empty if name == "prompt" else default_of(name, call)
        optional = " | None" if name != "prompt" and row.default is None else ""
        assert parameters[name].default == default and parameters[name].annotation == TYPES[row.kind] + optional, name


def test_the_docstrings_of_the_calls_describe_every_setting():
    described = {call: set(re.findall(r"\w+", getattr(svd_lab, call).__doc__)) for call in CALLS}
    assert not settings_of("generate_video").keys() - described["generate_video"]
    assert (
        not settings_of("generate_text2video").keys() - described["generate_text2video"] - described["generate_video"]
    )


@pytest.mark.parametrize("call", CALLS)
def test_the_command_line_has_the_settings_with_their_defaults(call, capsys):
    parser = build_parser(prompted=call == "generate_text2video")
    given = ["--prompt", "a horse"] if call == "generate_text2video" else ["a.png"]
    options = vars(parser.parse_args(["generate", *given, "b.mp4"]))
    for name in settings_of(call):
        default = default_of(name, "generate_video" if name == "seed" else call)  # a command repeats by default
        assert options[name] == ("a horse" if name == "prompt" else default)
    with pytest.raises(SystemExit):
        parser.parse_args(["generate", *given, "b.mp4", "--help"])
    page = " ".join(capsys.readouterr().out.split())
    for name, row in settings_of(call).items():
        assert f"--{name.replace('_', '-')} " in page and " ".join(row.help.split()) in page, name


@pytest.mark.parametrize("call, fields", [(CALLS[0], VIDEO_FIELDS), (CALLS[1], TEXT_FIELDS)], ids=CALLS)
def test_the_studio_has_a_field_for_each_setting_with_its_default(call, fields, tmp_path):
    assert {field.name for field in fields} == {*settings_of(call), "file"}
    texts = Session(call, None, None, "en", tmp_path, {}).texts
    studio = {"seed": 42, "prompt": None}  # a fixed seed, so that a beginner can repeat a video
    for field in fields:
        if field.name == "file":
            continue
        row = SETTINGS[field.name]
        assert texts[field.name] == to_text(studio.get(field.name, default_of(field.name, call))), field.name
        assert (field.label, field.help, field.low, field.high) == (row.label, row.help, row.low, row.high)
        values = (
            FITS if row.kind == "fit" else [row.low, row.high, *(value for value, _ in row.presets)] * bool(row.high)
        )
        for value in values:
            assert parse(field, to_text(value), "en") == value


@pytest.mark.parametrize("call", CALLS)
def test_every_preset_and_default_is_a_valid_value(call):
    needed = {"prompt": "a horse"} if call == "generate_text2video" else {}
    wide = {"min_guidance_scale": 0, "max_guidance_scale": 100}
    assert check_settings(call, needed).keys() == settings_of(call).keys()
    for name, row in settings_of(call).items():
        for value, words in row.presets:
            assert check_settings(call, needed | wide | {name: value})[name] == value and all(words)


@pytest.fixture(scope="module")
def clips(tiny_pipe, tiny_image_pipe, picture_file, tmp_path_factory):
    """A clip of each call."""
    folder, quick = tmp_path_factory.mktemp("clips"), {"num_frames": 2, "num_inference_steps": 1, "pipe": tiny_pipe}
    video = svd_lab.generate_video(picture_file, folder / "a.mp4", **quick)
    image = {"image_pipe": tiny_image_pipe, "image_num_inference_steps": 1, "on_image": lambda image: None}
    return {CALLS[0]: video, CALLS[1]: svd_lab.generate_text2video("a horse", folder / "b.mp4", 1, **quick, **image)}


@pytest.mark.parametrize("call", CALLS)
def test_recipe_and_mp4_record_the_settings_that_the_table_says(call, clips):
    recorded = {name for name, row in settings_of(call).items() if row.recipe}
    assert clips[call].recipe.keys() & SETTINGS.keys() == recorded
    assert read_recipe(clips[call].path).keys() & SETTINGS.keys() == recorded


@pytest.mark.parametrize("call", CALLS)
def test_a_batch_makes_a_video_again_when_a_recorded_setting_changes(call, clips):
    recipe = clips[call].recipe
    for name in settings_of(call):
        changed = request_hash(recipe | {name: "other"}) != request_hash(recipe)
        assert changed == (SETTINGS[name].recipe and name != "fit"), name  # the picture's hash includes its fit


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_lessons_parameters_are_settings_with_the_defaults_of_its_call(source):
    cells = jupytext.read(source, fmt="py:percent").cells
    cell = next(cell for cell in cells if "parameters" in cell.metadata.get("tags", []))
    lines = ast.parse(cell.source).body
    given = {line.target.id: (line.annotation.id, ast.literal_eval(line.value)) for line in lines}
    call = CALLS["prompt" in given]
    names = given.keys() & settings_of(call).keys()
    assert given.keys() - names <= LESSON_PARAMETERS
    values = check_settings(call, {name: given[name][1] for name in names})
    for name in names:
        assert given[name] == (TYPES[SETTINGS[name].kind], values[name])
        if name != "prompt" and not (name == "seed" and call == CALLS[1]):  # a prompt's seed decides what is drawn
            assert values[name] == default_of(name, call)
    assert f"0~{SETTINGS['seed'].high}, -1" in cell.source and f"0 to {SETTINGS['seed'].high}; -1" in cell.source
