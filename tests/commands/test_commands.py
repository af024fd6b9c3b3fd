"""What the svd-lab command promises: exit statuses, a manual, and a quick start."""

import argparse
import importlib.util
import re
import shlex
import subprocess
import sys

import pytest

import svd_lab
import svd_lab.studio
from svd_lab.commands import bench, check, main, studio
from svd_lab.mini.lexicon import names, unknown_words


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["make"],
        ["generate"],
        ["generate", "a.png"],
        ["generate", "a.png", "b.mp4", "--seed", "x"],
        ["demo", "--foo"],
    ],
)
def test_wrong_usage_is_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main.main(arguments)
    assert caught.value.code == 2 and "usage: svd-lab" in capsys.readouterr().err


def test_help_is_a_manual_with_the_defaults(capsys):
    with pytest.raises(SystemExit) as caught:
        main.main(["generate", "--help"])
    text = capsys.readouterr().out
    assert caught.value.code == 0
    for word in ("--motion-bucket-id", "(127)", "(0.02)", "(crop)", "-1 draws one (42)", "--device"):
        assert word in text


def parsers():
    """Each command's parser by its name; `generate` also as it is with a prompt, and `check` from its own module."""
    made = main.build_parser()._subparsers._group_actions[0].choices | {"check": check.build_parser()}
    return made | {"generate --prompt": main.build_parser(True)._subparsers._group_actions[0].choices["generate"]}


@pytest.mark.parametrize("name", parsers())
def test_every_command_is_described_with_examples_that_parse(name):
    parser = parsers()[name]
    assert parser.description and all(action.help for action in parser._actions)
    block = parser.epilog.split("\n\n")[0].splitlines()
    examples = [shlex.split(line.split("svd-lab ", 1)[1]) for line in block if "svd-lab " in line]
    assert block[0] == "examples:" and len(examples) == len(block) - 1 and examples[0][0] == name.split()[0]
    for words in examples:
        if words[0] == "check":
            check.build_parser().parse_args(words[1:])
        else:
            main.build_parser("--prompt" in words).parse_args(words)


@pytest.mark.parametrize("name", parsers())
def test_help_gives_the_default_of_every_option_that_takes_a_value(name):
    for action in parsers()[name]._actions:
        if action.default not in (None, False, [], argparse.SUPPRESS):
            assert re.search(rf"\({re.escape(str(action.default))}[:)]", action.help), (action.dest, action.default)


@pytest.mark.parametrize(
    "language, words", [("en", ("Things (242)", "astronaut", "the sea")), ("ko", ("장소 (36)", "강아지", "바다"))]
)
def test_words_lists_what_the_text_miniature_draws(language, words, capsys):
    assert main.main(["words", "--language", language]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert all(word in text for word in words)
    listed = [name for kind in names(language).values() for name in kind]
    assert all(name in text for name in listed) and not [name for name in listed if unknown_words(name)]


def test_models_and_help_do_not_import_torch(tmp_path):
    code = (
        "import sys; from svd_lab.commands.main import main; main(['models']);"
        "print('torch' in sys.modules, 'diffusers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "False False"


def test_the_columns_of_the_benchmark_are_explained_in_its_help():
    assert set(bench._HEAD[1:]) | {"step error", "frames differ"} == set(bench._COLUMNS)
    assert all(f"  {name}" in parsers()["bench"].epilog for name in bench._COLUMNS)


def test_the_studio_names_what_to_install_where_voila_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main.main(["studio"]) == 1
    err = capsys.readouterr().err
    assert "pip install 'svd-lab[studio]'" in err and err.count("\n") == 1


@pytest.mark.parametrize("words", [[], ["--text", "--language", "ko"]])
def test_the_studios_page_opens_a_panel_in_the_folder_of_the_command(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    opened = []
    monkeypatch.setattr(svd_lab, "load_video_pipeline", lambda model: model, raising=False)
    monkeypatch.setattr(svd_lab, "load_image_pipeline", lambda model: model, raising=False)
    for name in ("video_studio", "text_studio"):
        monkeypatch.setattr(svd_lab.studio, name, lambda *pipes, name=name, **more: opened.append((name, pipes, more)))
    exec(studio.source(main.build_parser().parse_args(["studio", "--model", "mini", *words])), {})
    language = "ko" if words else "en"
    panel = ("text_studio", ("mini", "auto")) if words else ("video_studio", ("mini",))
    assert opened == [(*panel, {"language": language, "out_dir": "studio"})]
