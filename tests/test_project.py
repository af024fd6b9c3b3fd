"""What the files around the code promise: the README's commands and calls, the package's data, licences, dependencies."""

import ast
import importlib.util
import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest
from PIL import Image

import svd_lab
from svd_lab.bundled import PICTURE_FOLDER as PICTURES
from svd_lab.training.assets.build_pictures import PICTURES as PAINTED

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
README = (ROOT / "README.md").read_text("utf-8")
KOREAN = (ROOT / "README.ko.md").read_text("utf-8")
PAGES = [
    ROOT / name
    for name in ("README.md", "README.ko.md", "CONTRIBUTING.md", "CHANGELOG.md", "svd_lab/mini/things/CREDITS.md")
]
COMMANDS = [line for line in README.splitlines() if re.match("pip install .* && ", line)]


_spec = importlib.util.spec_from_file_location("lesson_table", ROOT / "docs" / "lesson_table.py")
lesson_table = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(lesson_table)


def requirement_names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w-]+", line)[0].replace("-", "_").lower() for line in requirements}


def test_the_readme_has_one_line_for_the_demo_and_one_for_the_tests():
    demo, tests = COMMANDS
    assert demo.endswith("&& svd-lab demo") and tests.endswith("&& pytest") and "[test]" in tests
    assert {"pytest", "pytest_timeout"} <= requirement_names(PROJECT["optional-dependencies"]["test"])


def test_the_readme_names_every_call_and_every_keyword_with_its_default():
    for name in svd_lab.__all__:
        assert re.search(rf"\b{name}\b", README), name
    rows = {}
    for line in README.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and cells[0].startswith("`"):
            rows |= {name: cells for name in re.findall(r"`(\w+)`", cells[0])}
    parameters = inspect.signature(svd_lab.generate_video).parameters
    keywords = {name: p.default for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    assert set(rows) == set(keywords)
    for name, default in keywords.items():
        if default is not None:
            assert str(default) in rows[name][1], f"{name} is {default!r}; the README says {rows[name][1]}"


def test_the_readmes_python_runs_as_it_stands(tiny_pipe, picture_file, tmp_path, monkeypatch):
    code = re.search(r"```python\n(.*?)```", README, re.S)[1]
    monkeypatch.chdir(tmp_path)
    Image.open(picture_file).convert("RGB").save("rocket.jpg")
    monkeypatch.setattr(svd_lab, "load_video_pipeline", lambda: tiny_pipe, raising=False)
    names = {}
    exec(code, names)
    assert names["clip"].seed == 42 and Path("rocket.mp4").is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8"))
    local = [target for target in targets if not re.match(r"https?://", target)]
    missing = [target for target in local if not (page.parent / target).exists()]
    assert not missing
    if page.name == "README.md":
        assert "LICENSE" in local and "docs/demo.gif" in local


def bare(line):
    """A line of code without its comment: comments are translated."""
    return re.sub(r"  # .*", "", line).rstrip()


@pytest.mark.parametrize(
    "part",
    [
        lambda text: [line.split(" ")[0] for line in text.splitlines() if re.match("#+ ", line)],
        lambda text: [[bare(x) for x in block.splitlines()] for block in re.findall(r"^```.*?^```", text, re.M | re.S)],
        lambda text: sorted(re.findall(r"(?<!!)\[[^\]]*\]\(((?:[^#()]|\([^)]*\))[^)]*)\)", text)),
        lambda text: re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text),
        lambda text: [line.count("|") for line in text.splitlines() if line.startswith("|")],
        lambda text: re.findall(r"^(?:[-*>]|\d\.) ", text, re.M),
        lambda text: sorted(set(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)))),
    ],
    ids=["headings", "code blocks", "links", "pictures", "tables", "lists", "code in sentences"],
)
def test_the_korean_readme_has_what_the_english_one_has(part):
    english, korean = (
        text.replace("lessons/en", "lessons/LANG").replace("lessons/ko", "lessons/LANG").replace("language en", "language ko")
        .replace("README.ko.md", "README.md").replace("class.ko.md", "class.md").replace("studio-ko.webp", "studio.webp")
        .replace("lessons%2Fen", "lessons%2FLANG").replace("lessons%2Fko", "lessons%2FLANG")
        for text in (README, KOREAN)
    )  # fmt: skip
    assert part(english) == part(korean) and part(korean)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_table_of_lessons_is_what_the_notebooks_and_the_address_give(language):
    text = {"en": README, "ko": KOREAN}[language]
    assert lesson_table.with_table(text, language) == text, "run: python docs/lesson_table.py"
    address = PROJECT["urls"]["Repository"].removeprefix("https://github.com/")
    for name in lesson_table.lessons():
        for folder in ("ko", "en"):
            assert f"](lessons/{folder}/{name}.ipynb)" in text
        assert f"mybinder.org/v2/gh/{address}/HEAD?labpath=lessons%2F{language}%2F{name}.ipynb" in text
        assert f"colab.research.google.com/github/{address}/blob/HEAD/lessons/{language}/{name}.ipynb" in text
        assert (
            f"kaggle.com/kernels/welcome?src=https://github.com/{address}/blob/HEAD/lessons/{language}/{name}.ipynb"
            in text
        )


@pytest.mark.parametrize("name", lesson_table.lessons())
def test_a_lessons_picture_moves_and_is_small(name):
    file = lesson_table.picture(name)
    assert file.stat().st_size < 150_000
    with Image.open(file) as picture:
        assert picture.n_frames >= 10 and picture.width == lesson_table.WIDTH and picture.info["loop"] == 0
        first = picture.convert("RGB").tobytes()
        picture.seek(picture.n_frames - 1)
        assert picture.convert("RGB").tobytes() != first


def test_binder_installs_a_cpu_build_of_torch_and_then_the_package():
    lines = (ROOT / "binder" / "requirements.txt").read_text("utf-8").splitlines()
    assert "--extra-index-url https://download.pytorch.org/whl/cpu" in lines
    pinned = next(re.fullmatch(r"torch==(\d+)\.(\d+)\.\d+\+cpu", line) for line in lines if line.startswith("torch"))
    wanted = next(
        re.fullmatch(r"torch>=(\d+)\.(\d+)", line) for line in PROJECT["dependencies"] if line.startswith("torch")
    )
    assert tuple(map(int, pinned.groups())) >= tuple(map(int, wanted.groups()))
    python = re.fullmatch(r"python-3\.(\d+)", (ROOT / "binder" / "runtime.txt").read_text("utf-8").strip())[1]
    assert int(python) >= int(re.fullmatch(r">=3\.(\d+)", PROJECT["requires-python"])[1])
    script = ROOT / "binder" / "postBuild"
    assert script.read_text("utf-8").startswith("#!") and "pip install" in script.read_text("utf-8")
    if os.name != "nt":
        assert os.access(script, os.X_OK), "repo2docker runs it only when it is executable"


def test_the_moving_picture_of_the_readme_moves_and_is_small():
    file = ROOT / "docs" / "demo.gif"
    with Image.open(file) as picture:
        assert picture.n_frames >= 10 and picture.width <= 800
    assert file.stat().st_size < 1_500_000


def test_the_commands_named_in_contributing_exist():
    modules = set(re.findall(r"python -m (svd_lab[\w.]+)", (ROOT / "CONTRIBUTING.md").read_text("utf-8")))
    assert {"svd_lab.training.train", "svd_lab.training.assets.build_pictures"} <= modules
    for module in modules:
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file(), module


def test_every_imported_package_is_declared_and_no_other():
    imported = set()
    for file in (ROOT / "svd_lab").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add(node.module.split(".")[0])
    imported -= set(sys.stdlib_module_names) | {"svd_lab"}
    imported = {{"PIL": "pillow", "skimage": "scikit_image", "yaml": "pyyaml"}.get(name, name) for name in imported}
    declared = requirement_names(PROJECT["dependencies"])
    # triton comes with torch's CUDA builds; the others are asked for, and their absence said in words. papermill brings two.
    extras = {
        name
        for extra in ("class", "docs", "lessons")
        for name in requirement_names(PROJECT["optional-dependencies"][extra])
    }
    assert imported - declared <= {"triton", "IPython", "dask", "nbclient", "nbformat"} | extras
    # diffusers loads models with accelerate and safetensors; ipywidgets makes tqdm's and the lessons' panels.
    assert declared - imported <= {"accelerate", "safetensors", "ipywidgets"}


def test_version_changelog_and_installed_package_agree():
    assert version("svd-lab") == svd_lab.__version__
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)[1]
    assert newest == svd_lab.__version__
    assert entry_points(group="console_scripts")["svd-lab"].load() is svd_lab.commands.main.main


def test_licences_are_whole_and_shipped():
    licence = (ROOT / "LICENSE").read_text("utf-8")
    assert "Version 2.0, January 2004" in licence and "END OF TERMS AND CONDITIONS" in licence and len(licence) > 11_000
    credits = (ROOT / "svd_lab/mini/things/CREDITS.md").read_text("utf-8")
    assert "Copyright (c) Microsoft Corporation" in credits and "Miles Johnson" in credits
    assert credits.count("THE SOFTWARE IS PROVIDED") == 2 and "UNICODE LICENSE V3" in credits
    for file in PROJECT["license-files"]:
        assert (ROOT / file).is_file()


def test_the_demos_pictures_are_the_painted_ones_at_the_real_models_size():
    files = sorted(PICTURES.glob("*.jpg"))
    assert {file.stem for file in files} == set(PAINTED)
    for file in files:
        assert file.stat().st_size < 150_000
        with Image.open(file) as picture:
            assert picture.size == (1024, 576) and picture.mode == "RGB"


def test_the_demos_things_are_never_held_out_of_training():
    things = {t["code"]: t for t in json.loads((ROOT / "svd_lab/mini/things/things.json").read_text("utf-8"))}
    for _, code, *_ in PAINTED.values():
        assert not things[code]["held_out"]


@pytest.mark.skipif(os.name == "nt", reason="a bash script")
def test_ci_takes_its_commands_from_the_readme():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)
    text = script.read_text("utf-8")
    assert "README.md" in text and "svd-lab demo" not in text and "[test]" not in text
    found = subprocess.run(
        ["bash", "-c", re.search(r"grep -E .* README\.md", text)[0]], cwd=ROOT, capture_output=True, text=True
    )
    assert found.stdout.splitlines() == COMMANDS
