"""Lessons: both languages share their code, notebooks match their sources, parameters are checked, results are whole or absent."""

import gc
import html
import io
import json
import re
import sys
import time
import weakref
from pathlib import Path

import accelerate
import nbformat
import papermill
import pytest
import torch
from glossary import PAGES, link_first_uses, terms, without_links
from helpers import make_picture, module_at

from svd_lab import Clip
from svd_lab.bundled import PICTURE_FOLDER as DEMO
from svd_lab.lesson import EXAMPLES, PICTURES, cost, finish_lesson, start_lesson
from svd_lab.lesson.figures import checkerboard, grid, line_plot, side_by_side

ROOT = Path(__file__).parents[2]
build = module_at(ROOT / "lessons" / "build.py")  # "build" is also the name of a package

LESSONS = [source.stem for source in build.sources()]
NOTEBOOKS = [(name, language) for name in LESSONS for language in build.LANGUAGES]
WITH_PROMPT = "04_text_to_video"  # starts from a prompt, most others from a picture
WITH_A_SCENE = "05_the_loop"  # draws its picture itself
GOOD = dict(model="mini", seed=42, picture="rocket", num_frames=4, num_inference_steps=2)
PAIR = '# %% [markdown] lang="ko" id="a"\n# # 가\n\n# %% [markdown] lang="en" id="a"\n# # A\n'


def read(name, language):
    return nbformat.read(ROOT / "lessons" / language / f"{name}.ipynb", as_version=4)


def markdown(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "markdown"]


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def solutions(notebook):
    """The code of the worked solutions, without those that need a person to press the upload button."""
    text = "\n".join(cell.source for cell in markdown(notebook))
    found = [
        html.unescape(code)
        for hidden in re.findall(r"(?s)<details>.*?</details>", text)
        for code in re.findall(r"(?s)```python\n(.*?)```|<pre><code>(.*?)</code></pre>", hidden)
        for code in code
    ]
    return [code for code in found if code and "uploader" not in code]


@pytest.fixture
def kernel_finds_us(monkeypatch):
    """A kernel imports this checkout, whether or not the package is installed."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


# The notebooks and their sources


def test_the_notebooks_match_their_sources(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["build.py", "--check"])
    assert build.main() == 0, capsys.readouterr().err
    assert {"01_pipeline", "02_rocket"} <= set(LESSONS)
    for language in build.LANGUAGES:
        assert {path.stem for path in (ROOT / "lessons" / language).glob("*.ipynb")} == set(LESSONS)


def test_check_names_a_notebook_that_was_edited_by_hand(tmp_path, monkeypatch, capsys):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "01_a.py").write_text(PAIR + '\n# %% id="b"\nx = 1  # ko| 하나 # en| one\n', "utf-8")
    monkeypatch.setattr(build, "LESSONS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["build.py"])
    assert build.main() == 0
    monkeypatch.setattr(sys, "argv", ["build.py", "--check"])
    assert build.main() == 0
    path = tmp_path / "en" / "01_a.ipynb"
    path.write_text(path.read_text("utf-8").replace("one", "two"), "utf-8")
    assert build.main() == 1
    assert "en/01_a.ipynb" in capsys.readouterr().err


@pytest.mark.parametrize("name", LESSONS)
def test_both_languages_have_the_same_cells_code_headings_and_links(name):
    korean, english = (read(name, language) for language in build.LANGUAGES)
    for part in ("id", "cell_type"):
        assert [cell[part] for cell in korean.cells] == [cell[part] for cell in english.cells]
    for ko, en in zip(korean.cells, english.cells, strict=True):
        assert ko.metadata | {"alt": ""} == en.metadata | {"alt": ""} and ("alt" in ko.metadata) == (
            "alt" in en.metadata
        )
    shared = [[build.plain_code(c.source) for c in code(one) if c.id != build.INSTALL_ID] for one in (korean, english)]
    assert shared[0] == shared[1]
    for ko, en in zip(markdown(korean), markdown(english), strict=True):
        # A screenshot has its Korean twin beside it: docs/studio.webp, docs/studio-ko.webp.
        twin = lambda m: f"{m[1]}.webp" if (ROOT / m[0]).is_file() else m[0]  # noqa: E731
        ko_source = re.sub(r"(docs/\w+)-ko\.webp", twin, without_links(ko.source))
        for pattern in (
            r"(?m)^#+ ",
            r"!?\]\([^)]*\)|<https?:[^>]*>",
            r"(?m)^```\w*$",
            r"</?(?:details|summary)>",
            r"(?m)^\|",
        ):
            assert re.findall(pattern, ko_source) == re.findall(pattern, without_links(en.source)), (ko.id, pattern)


@pytest.mark.parametrize("name", LESSONS)
def test_each_notebook_is_in_its_language_throughout(name):
    korean, english = (read(name, language) for language in build.LANGUAGES)
    data = {cell.id for cell in english.cells if "korean-prompts" in cell.metadata.get("tags", ())}  # code alone
    assert {cell.id for cell in english.cells if re.search("[가-힣]", cell.source)} == data
    assert not [cell.id for cell in markdown(korean) if not re.search("[가-힣]", cell.source)]
    for ko, en in zip(code(korean), code(english), strict=True):
        comments = [[line for line in cell.source.splitlines() if "# " in line] for cell in (ko, en)]
        assert bool(comments[0]) == bool(comments[1])
        assert not re.search(r"# (ko|en)\|", ko.source + en.source)


@pytest.mark.parametrize("name, language", NOTEBOOKS)
def test_no_line_of_code_is_cut_off_at_the_right(name, language):
    # 104 characters fit beside a notebook's margin, in nbconvert's page and in JupyterLab at 1100 pixels
    lines = [(cell.id, line) for cell in code(read(name, language)) for line in cell.source.splitlines()]
    assert not [(where, len(line), line) for where, line in lines if len(line) > 104]


@pytest.mark.parametrize("name, language", NOTEBOOKS)
def test_a_terms_first_use_links_to_its_entry(name, language):
    page = (ROOT / PAGES[language]).read_text("utf-8")
    text = "\n".join(cell.source for cell in markdown(read(name, language)))
    linked = re.findall(r"docs/glossary(?:\.ko)?\.md#([\w-]+)", text)
    assert len(linked) == len(set(linked)) >= 10
    assert all(f'<a id="{term}"></a>' in page for term in linked)
    assert {"noise", "seed", "frame", "step", "prediction", "guidance"} <= set(linked)


def test_the_glossary_links_only_the_first_use_in_prose():
    source = "# noise\n`noise` [noise](x) $noise$ noises, denoise, noise and noise\n"
    cells = [nbformat.v4.new_markdown_cell(source), nbformat.v4.new_code_cell("noise")]
    link_first_uses(cells, "en")
    linked = "[noise](../../docs/glossary.md#noise)"
    assert cells[0].source == source.replace("denoise, noise and", f"denoise, {linked} and")
    assert cells[1].source == "noise" and without_links(cells[0].source) == source
    assert len({term["id"] for term in terms()}) == len(terms())
    cells = [nbformat.v4.new_markdown_cell("A clip, and CLIP.")]
    link_first_uses(cells, "en")
    assert re.findall(r"\[(\w+)\]\(\S+#([\w-]+)\)", cells[0].source) == [("clip", "clip-object"), ("CLIP", "clip")]


@pytest.mark.parametrize("folder", ["ko", "en", "solutions/ko", "solutions/en"])
def test_pictures_and_files_that_lessons_refer_to_exist(folder):
    notebooks = sorted((ROOT / "lessons" / folder).glob("*.ipynb"))
    assert notebooks
    for path in notebooks:
        for cell in markdown(nbformat.read(path, as_version=4)):
            for target in re.findall(r"\]\(([^)]+)\)", cell.source):
                assert target.startswith("https://") or (path.parent / target.partition("#")[0]).is_file(), target


@pytest.mark.parametrize(
    "text, words",
    [
        ("# %% [markdown]\n# # 가\n", "needs id"),
        ('# %% [markdown] lang="ko" id="a"\n# # 가\n', "must be written twice"),
        ('# %% [markdown] lang="en" id="a"\n# # A\n', "must be written twice"),
        (PAIR.replace("# # 가", "# # B"), "Korean version is not first"),
        (PAIR.replace("# # A", "# # A 가"), "Korean in its English"),
        (PAIR + PAIR, "two cells have the id 'a'"),
        (PAIR + '\n# %% id="b"\n# ko| 가\nx = 1\n', "without an English one"),
        (PAIR + '\n# %% id="b"\nx = 1\n# ko| 가\n', "no English"),
        (PAIR + '\n# %% id="b"\n# en| a\nx = 1\n', "without a Korean one"),
        (PAIR + '\n# %% id="b"\nx = 1  # en| a # ko| 가\n', "must be written"),
        (PAIR + '\n# %% id="b"\nx = 1  # 가\n', "Korean in its English"),
    ],
)
def test_a_source_that_lacks_a_language_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        for language in build.LANGUAGES:
            build.build(text, language)


def test_one_language_keeps_code_and_the_comments_of_one():
    source = "# ko| 가\n# ko| 나\n# en| a\nif x:\n    # ko| 다\n    # en| b\n    y = '#'  # ko| 라 # en| c"
    assert build.one_language(source, "ko") == "# 가\n# 나\nif x:\n    # 다\n    y = '#'  # 라"
    assert build.one_language(source, "en") == "# a\nif x:\n    # b\n    y = '#'  # c"
    assert build.plain_code(build.one_language(source, "ko")) == "if x:\n    y = '#'"


def test_outputs_survive_a_change_of_words_but_not_of_code():
    text = PAIR + '\n# %% id="b"\nprint(1)  # ko| 하나 # en| one\n'
    old = build.build(text, "en")
    old.cells[1].outputs, old.cells[1].execution_count = [nbformat.v4.new_output("stream", text="1\n")], 1
    words = build.build(text.replace("one", "a one"), "en")
    assert build.keep_outputs(words, old) and words.cells[1].outputs == old.cells[1].outputs
    changed = build.build(text.replace("print(1)", "print(2)"), "en")
    assert not build.keep_outputs(changed, old) and changed.cells[1].outputs == []


@pytest.mark.parametrize("name, language", NOTEBOOKS)
def test_committed_outputs_are_those_of_a_whole_run_on_the_mini(name, language):
    path = ROOT / "lessons" / language / f"{name}.ipynb"
    assert path.stat().st_size <= build.MAX_BYTES
    cells = code(read(name, language))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    for cell in cells:
        shown = json.dumps(cell.outputs, ensure_ascii=False).replace(html.escape(cell.metadata.get("alt", "-")), "")
        data = "korean-prompts" in cell.metadata.get("tags", ())
        assert data or not re.search("[가-힣]", shown), "outputs serve both languages"
    text = "".join(output.get("text", "") for output in outputs)
    assert "mini (in the package)" in text and f"{name}: " in text
    page = "".join(output.get("data", {}).get("text/html", "") for output in outputs)
    assert "data:video/mp4;base64," in page
    assert sum("image/jpeg" in output.get("data", {}) for output in outputs) >= 4, (
        "stills, because code hosts strip videos"
    )
    assert str(Path.home()) not in text + page and "/tmp/" not in text + page


# Parameters


@pytest.mark.parametrize("name, language", NOTEBOOKS)
def test_papermills_help_is_the_instructors_manual(name, language):
    found = papermill.inspect_notebook(str(ROOT / "lessons" / language / f"{name}.ipynb"))
    start = {WITH_PROMPT: ["prompt"], WITH_A_SCENE: []}.get(name, ["picture"])
    image_model = ["image_model"] if name == WITH_PROMPT else []
    types = dict(model="str", seed="int", num_frames="int", num_inference_steps="int", out_dir="str")
    types |= dict.fromkeys([*start, *image_model], "str")
    assert list(found) == ["model", *image_model, "seed", *start, "num_frames", "num_inference_steps", "out_dir"]
    assert {key: value["inferred_type_name"] for key, value in found.items()} == types
    for value in found.values():
        assert value["help"] and bool(re.search("[가-힣]", value["help"])) == (language == "ko")


@pytest.mark.parametrize(
    "wrong, error, words",
    [
        (dict(seed="42"), TypeError, "seed=42"),
        (dict(seed=-2), ValueError, "-1 draws one"),
        (dict(num_frames="abc"), TypeError, "num_frames must be a whole number"),
        (dict(num_frames=1), ValueError, "num_frames"),
        (dict(num_inference_steps="true"), TypeError, "num_inference_steps"),
        (dict(num_inference_steps=2.5), TypeError, "no decimal point"),
        (dict(model="mimi"), ValueError, "Did you mean 'mini'"),
        (dict(model=5), TypeError, "model"),
        (dict(model="/no/such/folder"), FileNotFoundError, "no such folder"),
        (dict(picture="rokcet"), FileNotFoundError, "balloon"),
        (dict(picture=5), TypeError, "image"),
        (dict(prompt="a horse"), TypeError, "from a picture or from a prompt"),
        (dict(picture=None, prompt=" "), ValueError, "prompt is empty"),
        (dict(picture=None, prompt=5), TypeError, "prompt must be a text"),
        (dict(out_dir=""), ValueError, "out_dir"),
        (dict(out_dir=5), TypeError, "out_dir"),
        (dict(out_dir="https://example.org/x"), ValueError, "address"),
    ],
    ids=str,
)
def test_a_wrong_parameter_is_refused_before_anything_is_written(wrong, error, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=words):
        start_lesson("01_pipeline", **{**GOOD, "out_dir": "out", **wrong})
    assert not list(tmp_path.iterdir())


def test_out_dir_in_place_of_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OSError, match="not a folder"):
        start_lesson("01_pipeline", **GOOD, out_dir=tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize(
    "language, words",
    [
        ("en", "num_frames must be a whole number from 2 .* not 'abc'"),
        ("ko", "num_frames: 2부터 .* 받은 값은 'abc'예요"),
    ],
)
def test_papermill_with_a_wrong_value_fails_early_in_our_words(language, words, tmp_path, kernel_finds_us):
    with pytest.raises(papermill.PapermillExecutionError, match=words):
        papermill.execute_notebook(
            ROOT / "lessons" / language / "01_pipeline.ipynb",
            tmp_path / "run.ipynb",
            {"num_frames": "abc"},
            cwd=tmp_path,
            progress_bar=False,
        )
    assert not (tmp_path / "out").exists()


# Runs


@pytest.mark.slow
@pytest.mark.parametrize("name, language", NOTEBOOKS)
def test_a_notebook_runs_to_its_end_and_writes_into_its_folder_only(
    name, language, tmp_path, tiny_folder, tiny_image_folder, picture_file, kernel_finds_us
):
    """The English one is the notebook with the solutions, or runs its worked solutions, each in a cell before the last."""
    notebook = read(name, language)
    worked = ROOT / "lessons" / "solutions" / "en" / f"{name}.ipynb"
    if language == "en" and worked.is_file():
        notebook = nbformat.read(worked, as_version=4)
    elif language == "en":
        assert (extra := [nbformat.v4.new_code_cell(code) for code in solutions(notebook)])
        notebook.cells[-1:-1] = extra
    start = {} if name == WITH_A_SCENE else {"picture": str(picture_file)}
    if name == WITH_PROMPT:
        start = {"prompt": "a city", "image_model": str(tiny_image_folder)}
    parameters = dict(model=str(tiny_folder), num_frames=4, num_inference_steps=2, seed=7) | start
    nbformat.write(notebook, tmp_path / "run.ipynb")
    papermill.execute_notebook(
        tmp_path / "run.ipynb",
        tmp_path / "run.ipynb",
        {**parameters, "out_dir": "mine"},
        cwd=tmp_path,
        progress_bar=False,
        execution_timeout=200,
    )
    assert {path.name for path in tmp_path.iterdir()} == {"run.ipynb", "mine"}
    result = json.loads((tmp_path / "mine" / "result.json").read_text("utf-8"))
    assert result["lesson"] == name and result["seconds"] > 0 and 7 in result["seeds"]
    shown = {key: Path(value).name for key, value in start.items()}
    assert result["parameters"] == parameters | shown | {"model": "tiny-svd", "out_dir": "mine"}
    assert result["model"] == "tiny-svd" and {"torch", "diffusers", "svd_lab"} <= set(result["versions"])
    for video in result["videos"].values():
        assert (tmp_path / "mine" / video["file"]).stat().st_size > 1000
    if name == "01_pipeline":
        assert result["measured"]["max_difference"] == 0
        assert {answer["right"] for answer in result["answers"].values()} == {language == "en"}
        assert all(change > 0 for change in result["measured"]["unet_change_by_frame"])
    if name == "02_rocket":
        difference = result["measured"]["seed_difference"]
        assert difference["again"] == 0 < difference["other"]
        assert set(result["measured"]["distance_by_bucket"]) == {"20", "70", "127", "240"}
    if name == "03_your_picture":
        assert set(result["measured"]["max_difference"].values()) == {0} and not result["measured"]["uploaded"]
        assert set(result["measured"]["shift_by_fit"]) == {"balloon", "crop", "pad", "stretch", "blurred"}
        assert len(result["measured"]["first_frame_db"]) == 6
    if name == WITH_PROMPT:
        measured, videos = result["measured"], result["videos"]
        assert set(videos) == {"horse", "fresh"}
        assert measured["max_difference"] == 0, "the class's code equals generate_text2video"
        assert videos["horse"]["guidance_scale"] == 7.5 and videos["horse"]["prompt"] == "a city"
        assert measured["correlation"]["fresh"] > 0.999 and abs(measured["correlation"]["reused"]) < 0.2
        assert measured["three_draws"] and measured["fresh_change"] > 0
    if name == WITH_A_SCENE:
        assert result["measured"]["max_difference"] == 0, "the loop by hand equals the pipeline"


@pytest.fixture
def small_gpu(monkeypatch, tmp_path):
    """A function that puts pipelines loaded later in this process under a placement, on the CPU; it returns a list that gets weak
    references to all their networks. "layers" is accelerate's offload layer by layer, which no placement of ours uses: after it
    pipe.device is "meta", as after an image pipeline's own offload."""
    import svd_lab
    from svd_lab.performance import placement

    place, held = placement.place, []

    def put(pipe, placement_name, *_):
        if placement_name == "layers":
            slow = [pipe.unet] if hasattr(pipe, "text_encoder") else []  # the 50 steps of an image would take 15 s more
            for part in networks(pipe):
                if part not in slow:
                    accelerate.cpu_offload(part, execution_device=torch.device("cpu"))
        else:
            place(pipe, placement_name, "cpu")
        pipe.svd_lab_memory = placement_name

    def use(placement_name):
        def on_small_gpu(plain):
            def load(*given, **named):
                put(pipe := plain(*given, **named), placement_name)
                held.extend(map(weakref.ref, networks(pipe)))
                return pipe

            return load

        for name in ("load_video_pipeline", "load_image_pipeline"):
            monkeypatch.setattr(svd_lab, name, on_small_gpu(getattr(svd_lab, name)))
        return held

    monkeypatch.setattr(placement, "place", put)
    monkeypatch.chdir(tmp_path)
    return use


def networks(pipe):
    return [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]


@pytest.fixture
def run_here():
    """A function that runs the English lesson's code in this process and returns its names; after[id] is called with them after
    that cell. A lesson's functions and names refer to each other, so its pipelines would stay until the next full collection."""
    runs = []

    def run(lesson, after=None, **parameters):
        _install, *cells = code(read(lesson, "en"))
        runs.append(names := {"display": lambda *_: None})
        for cell in cells:
            exec(compile(cell.source, cell.id, "exec"), names)
            if "parameters" in cell.metadata.get("tags", []):
                names.update(parameters)
            if after and cell.id in after:
                after[cell.id](names)
        return names

    yield run
    for names in runs:
        names.clear()
    gc.collect()


@pytest.mark.slow
@pytest.mark.parametrize("name_of_placement", ["layers", "blocks"])
def test_lesson_1_runs_with_offloaded_weights(name_of_placement, small_gpu, run_here, tiny_folder, monkeypatch):
    """It loads the pipeline itself, calls every part of it directly, and moves it as a small GPU needs it."""
    from svd_lab.lesson.model_here import FoundModel
    from svd_lab.performance import placement

    small_gpu(name_of_placement)
    monkeypatch.setattr(FoundModel, "move", lambda here, pipe: placement.place(pipe, name_of_placement, here.device))
    names = run_here("01_pipeline", **GOOD | {"model": str(tiny_folder)})
    assert name_of_placement != "layers" or (names["pipe"].device.type, names["here"].device.type) == ("meta", "cpu")
    assert names["max_difference"] == 0


def test_students_find_exercises_open_and_the_solutions_are_right():
    """The built notebooks: a student's has no answer in it, not even as a comment; a solution's outputs are all right."""
    for source in build.sources():
        asked = set(re.findall(r'check\("([\dr.]+)"', source.read_text("utf-8")))
        for language in build.LANGUAGES if asked else ():
            student, worked = (
                nbformat.read(build.notebook_path(source, language, solutions), as_version=4)
                for solutions in (False, True)
            )
            assert not [cell.id for cell in student.cells if "solution|" in cell.source]
            for notebook, mark in ((student, "☐"), (worked, "✓")):
                printed = "".join(o.get("text", "") for cell in code(notebook) for o in cell.outputs)
                assert set(re.findall(rf"^{mark} ([\dr.]+)$", printed, re.M)) == asked and "✗" not in printed
            assert build.without_outputs(worked) == build.build(source.read_text("utf-8"), language, source.name, True)


def test_a_solution_is_a_line_or_what_stands_for_the_dots():
    text = "x = ...  # solution| 7\n# solution| y = 2\ndef f():\n    # solution| z = 3\n    return ...  # solution| z"
    assert build.with_solutions(text, True) == "x = 7\ny = 2\ndef f():\n    z = 3\n    return z"
    assert build.with_solutions(text, False) == "x = ...\ndef f():\n    return ..."


@pytest.mark.slow
def test_lesson_2_continues_if_not_all_frames_can_be_decoded_at_once(
    small_gpu, run_here, tiny_folder, monkeypatch, capsys
):
    from diffusers import AutoencoderKLTemporalDecoder as Vae

    plain = Vae.decode

    def decode(self, z, *given, **named):
        if len(z) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(self, z, *given, **named)

    monkeypatch.setattr(Vae, "decode", decode)
    small_gpu("blocks")  # a placement of ours: accelerate's offload by layers does not go with speed="fused"
    names = run_here("02_rocket", **GOOD | {"model": str(tiny_folder), "num_frames": 6})
    assert (names["pipe"].svd_lab_memory, names["chunks"]) == ("blocks", [1, 2])
    printed = capsys.readouterr().out
    assert "  2 at a time: flicker" in printed and "  3 at a time: not enough memory" in printed
    assert set(json.loads(Path("out/02_rocket/result.json").read_text())["measured"]["decode_seconds"]) == {"1", "2"}


@pytest.mark.slow
def test_lesson_4_runs_with_the_weights_of_both_pipelines_offloaded(
    small_gpu, run_here, tiny_folder, tiny_image_folder, monkeypatch
):
    """It loads both pipelines itself, and moves them as a small GPU needs it."""
    from svd_lab.lesson.model_here import FoundModel
    from svd_lab.performance import placement

    small_gpu("layers")
    monkeypatch.setattr(FoundModel, "move", lambda here, pipe: placement.place(pipe, "layers", here.device))
    given = {"model": str(tiny_folder), "image_model": str(tiny_image_folder), "prompt": "a city", "seed": 7}
    names = run_here("04_text_to_video", num_frames=4, num_inference_steps=2, **given)
    assert {names[pipe].device.type for pipe in ("pipe", "image_pipe")} == {"meta"}
    assert names["max_difference"] == 0


@pytest.mark.parametrize("name", LESSONS)
def test_no_lesson_uses_the_device_of_offloaded_weights(name):
    """pipe.device is the CPU, or "meta", if weights are offloaded; pipe._execution_device is where they are used."""
    lines = [line for cell in code(read(name, "en")) for line in cell.source.splitlines()]
    assert [line for line in lines if "pipe.device" in line.split("#")[0]] == []


def test_an_uploaded_picture_replaces_the_parameter():
    """The cell after the upload button, with a picture in it as JupyterLab puts it there."""
    from ipywidgets import FileUpload

    from svd_lab import open_image

    uploader = FileUpload()
    content = PICTURES["boat"].read_bytes()
    file = {"name": "a.jpg", "type": "image/jpeg", "size": len(content), "last_modified": 1.8e12}
    uploader.set_state({"value": [{**file, "content": memoryview(content)}]})  # as the browser's message does
    names = {"uploader": uploader, "lesson": None, "width": 96, "height": 64, "open_image": open_image}
    cell = next(cell for cell in read("03_your_picture", "ko").cells if cell.id == "use")
    exec(cell.source, names | {"grid": grid, "show": lambda page: None}, names)
    assert names["image"].tobytes() == open_image(PICTURES["boat"], size=(96, 64)).tobytes()


# The frame of a lesson


def make_clip(seed=1, count=3):
    settings = dict(model="m", device="cpu", dtype="float32", versions={}, num_frames=count)
    return Clip([make_picture(seed=i) for i in range(count)], seed, settings)


def test_a_lesson_draws_its_seed_once_and_forgets_an_older_result(tmp_path):
    (tmp_path / "result.json").write_text("old")
    lesson = start_lesson("a", **{**GOOD, "seed": -1}, out_dir=tmp_path)
    assert 0 <= lesson.seed < 2**32 and lesson.given["seed"] == -1
    assert lesson.picture.size == (1024, 576) and not (tmp_path / "result.json").exists()
    assert lesson.given["out_dir"] == tmp_path.name, "a result does not reveal the folders above"


@pytest.mark.parametrize("value, error", [(float("nan"), ValueError), (object(), TypeError)], ids=["nan", "object"])
def test_a_result_that_cannot_be_written_leaves_no_file(value, error, tmp_path):
    lesson = start_lesson("a", **GOOD, out_dir=tmp_path)
    with pytest.raises(error):
        finish_lesson(lesson, {"clip": make_clip()}, {"value": value})
    assert not list(tmp_path.iterdir())


def test_bundled_pictures_have_names():
    assert {"rocket", "rabbit"} <= set(PICTURES)
    assert {"horse", "city", "photo"} <= set(EXAMPLES)
    assert [path.parent for path in PICTURES.values()] == [DEMO] * 6, "examples stay out of svd-lab demo"


def test_cost_measures_memory_that_is_taken_and_freed():
    import numpy as np

    with cost("cpu") as spent:
        block = np.ones(2**25)  # 256 MiB
        time.sleep(0.1)
        del block
    assert spent["seconds"] >= 0.1
    if sys.platform == "linux":
        assert 200 < spent["MiB"] < 400


def test_grid_places_every_picture_under_its_label():
    red, blue = (make_picture().point(lambda _, value=value: value) for value in (200, 90))
    page = grid([red, blue, red], ["a", "b", "c"], columns=2, width=206)
    assert page.size == (206, 2 * (20 + 67) + 6)
    assert page.getpixel((50, 50)) == (200,) * 3 and page.getpixel((156, 50)) == (90,) * 3
    assert page.getpixel((103, 50)) == (255,) * 3
    assert min(page.crop((0, 0, 20, 20)).convert("L").getextrema()) < 100, "the label is drawn"
    with pytest.raises(ValueError, match="as many labels"):
        grid([red], ["a", "b"])


def test_checkerboard_shows_only_where_a_picture_is_transparent():
    picture = make_picture((40, 24)).convert("RGBA")
    assert checkerboard(picture).tobytes() == picture.convert("RGB").tobytes()
    picture.putalpha(0)
    board = checkerboard(picture, square=8)
    assert board.size == (40, 24) and len(board.getcolors()) == 2
    assert board.getpixel((0, 0)) == board.getpixel((8, 8)) != board.getpixel((8, 0))


def test_side_by_side_plays_clips_of_one_length_together():
    together = side_by_side([make_clip(), make_clip(2)], ["one", "two"])
    assert len(together) == 3 and together.frames[0].width == 416
    with pytest.raises(ValueError):
        side_by_side([make_clip(), make_clip(2, count=4)], ["one", "two"])


def test_a_line_plot_rises_where_the_values_rise():
    plot = line_plot([0, 10], {"rising": [1.0, 4.0]}, "x")
    blue = [
        (x, y) for x in range(plot.width) for y in range(30, plot.height) if plot.getpixel((x, y)) == (31, 119, 180)
    ]
    assert min(blue)[1] > max(blue)[1] + 50
    with pytest.raises(ValueError, match="finite"):
        line_plot([0], {"a": [float("nan")]}, "x")


def test_plots_fit_a_grid_of_two_and_leave_matplotlib_as_it_was():
    from matplotlib import pyplot, rcParams

    before = dict(rcParams)
    plots = [line_plot(range(25), {"a": [0] * 25, "b": range(25)}, "x", "title") for _ in range(2)]
    assert grid(plots).size == (2 * plots[0].width + 6, plots[0].height), "no plot is scaled"
    assert len(png_of(plots[0])) < 40_000
    assert dict(rcParams) == before and not pyplot.get_fignums()


def png_of(picture):
    picture.save(buffer := io.BytesIO(), "PNG", optimize=True)
    return buffer.getvalue()
