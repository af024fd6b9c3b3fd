"""Every message that is shown is in the catalogue and has a Korean form; the reader's language is found, and followed."""

import ast
import os
import re
import string
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import module_at

from svd_lab import open_image
from svd_lab.language import reader_language, say, speaking

ROOT = Path(__file__).parents[1]
messages = module_at(ROOT / "docs" / "messages.py")
#: Rooms without messages of their own: the workshop, data and their readers; questions are written in both languages in place.
QUIET = ("training", "questions", "mini")
#: Their help texts are English; what they print from shared code is not.
ENGLISH = ("commands",)
HANGUL, PROSE = re.compile("[가-힣]"), re.compile(r"[A-Za-z]{2,}[,.:;]? +[A-Za-z({]|\} [a-z]{2}")
#: Their Korean has no Hangul: names, numbers, and frames of other messages.
NAMES_ALONE = {
    *("fps", "×", "photos/cat.jpg, https://…", "the Hub", "a smaller decode_chunk_size, "),
    *("{label}: {value}", "{label} {old} → {new}", "{low} to {high}", "{name} is {what}. {give}."),
}


def modules(*without):
    return [
        path
        for path in sorted((ROOT / "svd_lab").rglob("*.py"))
        if not set(path.relative_to(ROOT).parts) & {*QUIET, *without}
    ]


def fields(message):
    """The placeholders of a message, each with how it is converted and formatted."""
    return {field[1:] for field in string.Formatter().parse(message) if field[1] is not None}


def called(call):
    return getattr(call.func, "id", getattr(call.func, "attr", ""))


def test_the_catalogue_and_its_compiled_form_are_those_of_the_code():
    po, mo = messages.written(messages.updated())
    assert messages.PO.read_bytes() == po, "run: python docs/messages.py"
    assert messages.read_mo(messages.MO.read_bytes()) == messages.read_mo(mo), "run: python docs/messages.py"


def test_every_message_has_a_korean_form_and_none_is_left_over():
    korean = {entry.id: entry.string for entry in messages.catalogue() if entry.id}
    assert korean.keys() == messages.messages().keys()
    assert not [text for text, form in korean.items() if text not in NAMES_ALONE and not HANGUL.search(form)]


def test_placeholders_of_both_languages_agree():
    for entry in messages.catalogue():
        if entry.id:
            assert fields(entry.id) == fields(entry.string), entry.id
            assert entry.id[-1:].isspace() == entry.string[-1:].isspace(), entry.id


def test_a_particle_behind_a_value_has_both_forms():
    bare = re.compile(r"}['\"\])]*(을|를|은|는|이|가|예요|이에요|으로|이나)(?=[ .,?]|$)")
    assert not [entry.string for entry in messages.catalogue() if entry.id and bare.search(entry.string)]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT / "svd_lab")))
def test_every_placeholder_is_filled_in_where_a_message_is_said(path):
    for call in ast.walk(tree := ast.parse(path.read_text("utf-8"))):
        if not isinstance(call, ast.Call) or called(call) not in ("say", "mark") or not call.args:
            continue
        first = call.args[0]
        assert not isinstance(first, ast.JoinedStr), f"{path.name}:{call.lineno}: an f-string is no message"
        if isinstance(first, ast.Constant) and called(call) == "say" and all(word.arg for word in call.keywords):
            wanted = {name for name, *_ in fields(first.value)}
            assert wanted == {word.arg for word in call.keywords}, f"{path.name}:{call.lineno}"
    ours = {name.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "svd_lab.language"
            for name in node.names}  # fmt: skip
    hidden = ours & {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)} & {"say", "mark"}
    assert not hidden, f"{path.name}: an argument hides {hidden}"


@pytest.mark.parametrize("path", modules(*ENGLISH), ids=lambda path: str(path.relative_to(ROOT / "svd_lab")))
def test_nothing_is_raised_printed_or_warned_outside_the_catalogue(path):
    """A sentence in what is raised, printed or warned stands inside `say`, and Babel does not look into f-strings."""
    tree = ast.parse(path.read_text("utf-8"))
    said = {id(part) for call in ast.walk(tree) if isinstance(call, ast.Call) and called(call) in ("say", "mark")
            for part in ast.walk(call)}  # fmt: skip
    shown = [part for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc for part in ast.walk(node.exc)]
    unreachable = {id(part) for call in shown if isinstance(call, ast.Call) and called(call) == "AssertionError"
                   for part in ast.walk(call)}  # fmt: skip
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and called(call) in ("print", "warn", "_warn", "report", "message"):
            shown += [part for argument in call.args for part in ast.walk(argument)]
    for part in shown:
        if id(part) in unreachable:
            continue
        if isinstance(part, ast.JoinedStr):
            text = "".join(piece.value if isinstance(piece, ast.Constant) else "{}" for piece in part.values)
        else:
            text = part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else ""
        assert id(part) in said or not PROSE.search(text), f"{path.name}:{part.lineno}: {text!r}"
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inside = [call for call in ast.walk(node) if isinstance(call, ast.Call) and called(call) in ("say", "mark")]
            assert not any(isinstance(call.args[0], ast.Constant) for call in inside), f"{path.name}:{node.lineno}"


@pytest.mark.parametrize(
    "variables, language",
    [
        ({}, "en"),
        ({"LANG": "ko_KR.UTF-8"}, "ko"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LC_ALL": "C", "LANG": "ko_KR.UTF-8"}, "en"),
        ({"LC_MESSAGES": "ko_KR", "LANG": "en_US.UTF-8"}, "ko"),
        ({"LANGUAGE": "ko:en", "LANG": "en_US.UTF-8"}, "ko"),
        ({"LANG": "ko_KR.UTF-8", "JPY_SESSION_NAME": "lessons/en/02.ipynb"}, "en"),
        ({"LANG": "en_US.UTF-8", "JPY_SESSION_NAME": "lessons/ko/02.ipynb"}, "ko"),
        ({"LANG": "ko_KR.UTF-8", "JPY_SESSION_NAME": "ko/a.ipynb", "SVD_LAB_LANGUAGE": "en"}, "en"),
        ({"SVD_LAB_LANGUAGE": "fr", "LANG": "ko_KR.UTF-8"}, "ko"),
    ],
)
def test_the_language_is_the_settings_the_folders_or_the_machines(variables, language, monkeypatch):
    monkeypatch.delenv("LANG")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert reader_language() == language


def test_errors_keep_their_type_and_speak_the_readers_language(tmp_path, monkeypatch):
    for language, words in (("en", "image not found"), ("ko", "그림이 없어요")):
        monkeypatch.setenv("SVD_LAB_LANGUAGE", language)
        with pytest.raises(FileNotFoundError, match=words):
            open_image(tmp_path / "rocket.png")


def test_speaking_holds_for_its_block_and_values_are_never_read_as_placeholders():
    with speaking("ko"):
        assert say("{name} is no longer there", name="{x}") == "{x} 파일이 이제 없어요"
    assert say("{name} is no longer there", name="{x}") == "{x} is no longer there"


@pytest.mark.parametrize(
    "value, shown",
    [
        ("로켓", "로켓이 로켓을 로켓은 로켓으로 로켓이에요 로켓이나"),
        ("토끼", "토끼가 토끼를 토끼는 토끼로 토끼예요 토끼나"),
        ("물", "물이 물을 물은 물로 물이에요 물이나"),
        ("13", "13이 13을 13은 13으로 13이에요 13이나"),
        ("7", "7이 7을 7은 7로 7이에요 7이나"),
        ("3.5", "3.5가 3.5를 3.5는 3.5로 3.5예요 3.5나"),
        ("'mini'", "'mini'가 'mini'를 'mini'는 'mini'로 'mini'예요 'mini'나"),
        ("공(ball)", "공(ball)이 공(ball)을 공(ball)은 공(ball)으로 공(ball)이에요 공(ball)이나"),
        ("svd-xt…", "svd-xt…이(가) svd-xt…을(를) svd-xt…은(는) svd-xt…(으)로 svd-xt…이에요(예요) svd-xt…이나(나)"),
    ],
)
def test_korean_particles_fit_the_value_before_them(value, shown, monkeypatch):
    text = " ".join("{x}" + both for both in ("이(가)", "을(를)", "은(는)", "(으)로", "이에요(예요)", "이나(나)"))
    assert say(text, "ko", x=value) == shown
    assert say(text, "en", x=value).count("(") >= 6, "English keeps what it is given"


@pytest.mark.parametrize("lang, words", [("ko_KR.UTF-8", "패키지에 들어 있음"), ("en_US.UTF-8", "in the package")])
def test_the_line_of_a_loaded_model_follows_the_machine(lang, words):
    code = "from svd_lab import load_video_pipeline; load_video_pipeline('mini', device='cpu')"
    environment = {k: v for k, v in os.environ.items() if k not in ("LANGUAGE", "LC_ALL", "LC_MESSAGES")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"LANG": lang, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True, encoding="utf-8", timeout=300,
    )  # fmt: skip
    assert done.returncode == 0 and words in done.stdout, done.stderr[-1000:]
