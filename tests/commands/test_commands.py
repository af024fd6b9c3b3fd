"""What the svd-lab command promises: exit statuses, a manual, and a quick start."""

import subprocess
import sys

import pytest

from svd_lab.commands import main
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


def test_every_command_and_every_option_is_described():
    for name, parser in main.build_parser()._subparsers._group_actions[0].choices.items():
        if name == "check":  # has a parser of its own
            continue
        assert parser.description, name
        assert all(action.help for action in parser._actions), name


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
