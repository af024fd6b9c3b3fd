"""What the files around the code promise: the pages' commands, calls and links, the package's data, licences, dependencies."""

import ast
import importlib.util
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest
import repository
from helpers import module_at
from PIL import Image

import svd_lab
from svd_lab.bundled import PICTURE_FOLDER as PICTURES
from svd_lab.commands.main import build_parser
from svd_lab.settings_table import SETTINGS, default_of, settings_of
from svd_lab.training.assets.build_pictures import PICTURES as PAINTED

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
README = (ROOT / "README.md").read_text("utf-8")
KOREAN = (ROOT / "README.ko.md").read_text("utf-8")
MODEL_CARDS = [ROOT / "svd_lab/mini/weights/README.md", ROOT / "svd_lab/mini/text/README.md"]
#: What users read; the makers' log is for others.
USER_PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), *MODEL_CARDS]
PAGES = [*USER_PAGES, ROOT / "svd_lab/training/LOG.md", ROOT / "svd_lab/mini/things/CREDITS.md"]
TWINS = [
    "README",
    "docs/calls",
    "docs/recipes",
    "docs/real-models",
    "docs/own-lesson",
]  # with NAME.ko.md; docs/class is tested in tests/classroom
COMMANDS = [line for line in README.splitlines() if re.match("pip install .* && ", line)]


lesson_table = module_at(ROOT / "docs" / "lesson_table.py")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def code_blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def requirement_names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w-]+", line)[0].replace("-", "_").lower() for line in requirements}


def test_the_readme_has_one_line_for_the_demo_and_one_for_the_tests():
    demo, tests = COMMANDS
    assert demo.endswith("&& svd-lab demo") and tests.endswith("&& pytest") and "[test]" in tests
    assert {"pytest", "pytest_timeout"} <= requirement_names(PROJECT["optional-dependencies"]["test"])


def test_the_readmes_are_short_and_a_click_apart():
    for text, other in ((README, "README.ko.md"), (KOREAN, "README.md")):
        assert len(text.splitlines()) <= 160
        assert f"]({other})" in "\n".join(text.splitlines()[:4])
        first_screen = [text.index(part) for part in ("docs/demo.gif", *COMMANDS, lesson_table.MARKS[0])]
        assert first_screen == sorted(first_screen) and "\n## " not in text[: first_screen[0]]


@pytest.mark.parametrize("page", ["docs/calls.md", "docs/calls.ko.md"])
def test_the_page_of_calls_names_every_public_call_and_argument(page):
    text = (ROOT / page).read_text("utf-8")
    for name in svd_lab.__all__:
        assert re.search(rf"\b{name}\b", text), name
    calls = (
        svd_lab.generate_video,
        svd_lab.generate_text2video,
        svd_lab.load_video_pipeline,
        svd_lab.load_image_pipeline,
    )
    for call in calls:
        for name in inspect.signature(call).parameters:
            assert re.search(rf"\b{name}\b", text), f"{call.__name__}({name})"


@pytest.mark.parametrize("page", ["docs/calls.md", "docs/calls.ko.md"])
def test_the_page_of_calls_gives_the_defaults_and_ranges_of_the_table(page):
    rows = {}
    for line in (ROOT / page).read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[0].startswith("`"):
            rows[cells[0].strip("`")] = cells[1:]
    assert list(rows) == list(SETTINGS)
    for name, (video, text2video, limits, _) in rows.items():
        for call, shown in (("generate_video", video), ("generate_text2video", text2video)):
            default = default_of(name, call)
            if name not in settings_of(call):
                assert shown == "–", (name, call)
            elif default is None:
                assert shown != "–" and not re.search(r"\d", shown), (name, call)
            else:
                assert shown == str(default), (name, call)
        row = SETTINGS[name]
        if row.high:
            assert [float(number) for number in re.findall(r"-?[\d.]+", limits)] == [row.low, row.high], name
        elif row.presets:
            assert limits.split(", ") == [value for value, _ in row.presets], name


def test_the_readmes_python_runs_as_it_stands(tiny_pipe, tmp_path, monkeypatch):
    code = re.search(r"```python\n(.*?)```", README, re.S)[1]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(svd_lab, "load_video_pipeline", lambda: tiny_pipe, raising=False)
    names = {}
    exec(code, names)
    assert names["clip"].seed == 42 and Path("rocket.mp4").is_file()
    assert code_blocks(ROOT / "docs" / "calls.md", "python")[0] == code


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_to_files_and_anchors_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    local = [target for target in targets if not re.match(r"https?://", target)]
    for target in local:
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target
    if page.name == "README.md" and page.parent == ROOT:
        assert "LICENSE" in local and "docs/demo.gif" in local


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_and_modules_named_in_the_pages_exist(page):
    text = page.read_text("utf-8")
    paths = re.findall(r"`((?:svd_lab|tests|docs|lessons|binder)/[\w./-]*)`", prose(page))
    paths += re.findall(r"python3? ((?:tests|docs|lessons)/[\w/]+\.py)", text)
    for path in paths:
        assert (ROOT / path).exists(), path
    if page.name == "CHANGELOG.md":  # it names what has moved, too
        return
    if page.name == "CONTRIBUTING.md":
        assert {"svd_lab.training.train", "svd_lab.training.assets.build_pictures"} <= set(
            re.findall(r"python -m ([\w.]+)", text)
        )
    for name in set(re.findall(r"\b(svd_lab(?:\.\w+)+)", text)):
        assert importlib.util.find_spec(name.rpartition(".")[0]), name
        assert hasattr(
            importlib.import_module(name.rpartition(".")[0]), name.rpartition(".")[2]
        ) or importlib.util.find_spec(name), name


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_options_of_training_commands_in_the_pages_exist(page):
    """By the sources, because argparse would import torch: an option is written there, or a field of a dataclass of options."""
    for module, rest in re.findall(
        r"python3? -m svd_lab\.training\.(\w+(?:\.\w+)?)([^\n|`;]*)", page.read_text("utf-8")
    ):
        file = ROOT / "svd_lab/training" / f"{module.replace('.', '/')}.py"
        sources = list(file.parent.glob(f"{file.stem}*.py"))  # some have a module of options beside them
        if module == "train":
            sources += [*(file.parent / "stages").glob("*.py"), file.parent / "loop" / "options.py"]
        text = "".join(source.read_text("utf-8") for source in sources)
        for option in re.findall(r"(?<=\s--)[a-z][a-z-]*", rest.split("&&")[0]):
            field = option.replace("-", "_")
            assert option == "help" or re.search(rf'"--{option}"|"{option}"|^    {field}: ', text, re.M), (
                f"{module} --{option}"
            )


@pytest.mark.parametrize("page", USER_PAGES, ids=name_of)
def test_commands_in_the_pages_are_commands_of_svd_lab(page, capsys):
    lines = [line for block in code_blocks(page, "bash") for line in block.splitlines()]
    for line in lines:
        for words in re.findall(r"(?:^|&& )svd-lab (.*?)(?:$| &&|  #)", line):
            arguments = shlex.split(words)
            if arguments[0] != "check":  # which has a parser of its own
                build_parser(prompted="--prompt" in arguments).parse_args(arguments)


@pytest.mark.parametrize("page", USER_PAGES, ids=name_of)
def test_what_users_read_is_not_about_the_makers_machines(page):
    text = page.read_text("utf-8")
    commit = r"\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{7,40}\b"
    assert not re.findall(rf"/tmp/|\bissue #?\d+|{commit}|\blent\b|\brented\b", text)


def test_the_picture_of_the_house_names_every_room_of_the_contracts():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    for module in re.findall(r"svd_lab\.(\w+)", " ".join(layers)):
        assert re.search(rf"\b{module}\b", page), module


def bare(line):
    """A line of code without its comment: comments are translated."""
    return re.sub(r"  # .*", "", line).rstrip()


@pytest.mark.parametrize("name", TWINS)
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
def test_a_korean_page_has_what_the_english_one_has(part, name):
    english, korean = (
        text.replace(".ko.md", ".md").replace("lessons/en", "lessons/LANG").replace("lessons/ko", "lessons/LANG")
        .replace("lessons%2Fen", "lessons%2FLANG").replace("lessons%2Fko", "lessons%2FLANG").replace("language en", "language ko")
        .replace("a photograph of an astronaut riding a horse", "말을 탄 우주비행사")
        .replace("a rocket in the night sky", "밤하늘의 로켓")
        for text in ((ROOT / f"{name}{ending}").read_text("utf-8") for ending in (".md", ".ko.md"))
    )  # fmt: skip
    assert part(english) == part(korean)
    assert part(korean) or name != "README"


def test_a_korean_page_speaks_korean():
    for page in [*ROOT.glob("*.ko.md"), *(ROOT / "docs").glob("*.ko.md")]:
        paragraphs = [text for text in prose(page).split("\n\n") if re.match(r"[\w*`]", text) and "](" not in text]
        assert paragraphs and all(re.search("[가-힣]", text) for text in paragraphs), page


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_table_of_lessons_is_what_the_notebooks_and_the_address_give(language):
    text = {"en": README, "ko": KOREAN}[language]
    assert lesson_table.with_table(text, language) == text, "run: python docs/lesson_table.py"
    for name in lesson_table.lessons():
        for folder in ("ko", "en"):
            assert f"](lessons/{folder}/{name}.ipynb)" in text
    assert lesson_table.START_PAGE.read_text("utf-8") == lesson_table.start_page(), "run: python docs/lesson_table.py"
    published = "urls" in PROJECT
    assert all((host in text) == published for host in ("mybinder.org", "colab.research.google.com", "kaggle.com"))


def test_links_to_hosts_appear_with_an_address_and_only_then():
    assert "https://" not in lesson_table.table("en", None) + lesson_table.clone("en", None)
    assert "git clone https://github.com/someone/lab && cd lab\n" in lesson_table.clone(
        "ko", "https://github.com/someone/lab"
    )
    table = lesson_table.table("ko", "https://github.com/someone/svd-lab")
    for name in lesson_table.lessons():
        assert f"mybinder.org/v2/gh/someone/svd-lab/HEAD?labpath=lessons%2Fko%2F{name}.ipynb" in table
        assert f"colab.research.google.com/github/someone/svd-lab/blob/HEAD/lessons/ko/{name}.ipynb" in table
        assert f"kernels/welcome?src=https://github.com/someone/svd-lab/blob/HEAD/lessons/ko/{name}.ipynb" in table


def test_one_command_writes_the_address_and_takes_it_back():
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    none = repository.with_address(text, None)
    assert "urls" not in tomllib.loads(none)["project"]
    written = repository.with_address(none, "https://github.com/someone/svd-lab.git")
    urls = tomllib.loads(written)["project"]["urls"]
    assert urls["Repository"] == "https://github.com/someone/svd-lab" and len(urls) == 4
    assert repository.with_address(written, None) == none
    citation = repository.CITATION.read_text("utf-8")
    cited = repository.cited(citation, urls["Repository"])
    assert "\nrepository-code: https://github.com/someone/svd-lab\n" in cited
    assert repository.cited(cited, None) == repository.cited(citation, None)
    assert citation == repository.cited(citation, repository.address()), "the two files agree"
    for wrong in (
        "",
        "someone/svd-lab",
        "http://github.com/someone/svd-lab",
        "https://github.com/someone",
        "https://github.com/a b/c",
    ):
        with pytest.raises(ValueError, match="not the address of a GitHub repository"):
            repository.with_address(text, wrong)


def test_nothing_that_is_built_or_read_has_a_place_holder_for_the_address():
    read = [
        *PAGES,
        ROOT / "pyproject.toml",
        *sorted((ROOT / "lessons").rglob("*.ipynb")),
        *sorted((ROOT / "docs").rglob("*.md")),
    ]
    assert not [name_of(page) for page in read if re.search(r"\bOWNER\b|github\.com/NAME", page.read_text("utf-8"))]


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
    lessons = requirement_names(PROJECT["optional-dependencies"]["lessons"]) - {"jupyterlab"}  # which Binder has
    assert lessons <= requirement_names([line for line in lines if line[0].isalpha()])
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
        for extra in ("class", "docs", "lessons", "studio")
        for name in requirement_names(PROJECT["optional-dependencies"][extra])
    }
    assert imported - declared <= {"triton", "IPython", "dask", "nbclient", "nbformat"} | extras
    # diffusers loads models with accelerate and safetensors; ipywidgets makes tqdm's and the lessons' panels.
    assert declared - imported <= {"accelerate", "safetensors", "ipywidgets"}


def test_version_changelog_and_installed_package_agree():
    assert version("svd-lab") == svd_lab.__version__
    assert re.search(r"^version: (.+)$", repository.CITATION.read_text("utf-8"), re.M)[1] == svd_lab.__version__
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)[1]
    assert newest == svd_lab.__version__
    assert entry_points(group="console_scripts")["svd-lab"].load() is svd_lab.commands.main.main


def test_the_metadata_name_authors_pythons_and_what_the_package_is_for():
    assert PROJECT["authors"] == [{"name": "svd-lab"}]
    oldest = re.fullmatch(r">=(3\.\d+)", PROJECT["requires-python"])[1]
    assert f"Programming Language :: Python :: {oldest}" in PROJECT["classifiers"]
    assert "Topic :: Education" in PROJECT["classifiers"]


def test_the_source_archive_has_no_workshop_tests_or_ci():
    archive = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["sdist"]
    assert not {"/tests", "/.ci", "/binder"} & set(archive["include"])
    assert "/svd_lab/training" in archive["exclude"] and all((ROOT / part.strip("/")).exists() for part in
                                                             archive["include"] if "*" not in part)  # fmt: skip


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
