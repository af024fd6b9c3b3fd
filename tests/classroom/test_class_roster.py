"""What a class's roster and plan promise: all mistakes are reported at once, before anything runs; a run's key is its content."""

import codecs
import time

import nbformat
import pytest
import small_class
from PIL import Image

from svd_lab.classroom.plan import make_plan
from svd_lab.classroom.roster import read_roster

PARAMETERS = (
    'seed: int = 42  # a seed\nshare: float = 0.5\nnoisy: bool = False\nmode: str = "ok"\npicture: str = "rocket"\n'
    'prompt: str = "a horse"\nmodel: str = "auto"\nout_dir: str = "out/a"'
)


def write_notebook(path, *cells, parameters=PARAMETERS):
    return small_class.write_notebook(path, *cells, parameters=parameters)


@pytest.fixture
def plan(tmp_path):
    """plan(text or bytes of a roster, its suffix): the plan of one small lesson for it."""
    lesson = write_notebook(tmp_path / "small.ipynb", "print(seed)")

    def make(roster, suffix=".csv", **more):
        path = tmp_path / f"roster{suffix}"
        path.write_bytes(roster if isinstance(roster, bytes) else roster.encode())
        return make_plan(path, [lesson], **more)

    return make


def mistakes(plan, roster, suffix=".csv", **more):
    """The lines of the message with which `roster` is refused."""
    with pytest.raises(ValueError) as refused:
        plan(roster, suffix, **more)
    return str(refused.value).splitlines()


@pytest.mark.parametrize(
    "data",
    [
        "name,seed\n민지,7\n서준,-1\n".encode(),
        codecs.BOM_UTF8 + "name,seed,,\r\n민지,7,,\r\n,,,\r\n서준,-1,,\r\n".encode(),
        "sep=;\r\nName;seed\r\n민지;7\r\n서준;-1\r\n".encode(),
        "name\tseed\r\n민지\t7\r\n서준\t-1\r\n".encode("utf-16"),
    ],
    ids=["plain", "Excel's CSV UTF-8, with empty rows and columns", "semicolons", "Excel's Unicode text"],
)
def test_a_csv_is_read_however_a_spreadsheet_saved_it(plan, data):
    runs = plan(data).runs
    assert [(run.student, run.parameters) for run in runs] == [("민지", {"seed": 7}), ("서준", {"seed": -1})]
    assert [run.folder for run in runs] == ["민지/small", "서준/small"]


def test_a_mistyped_model_is_refused_with_the_roster_and_a_missing_one_too(plan, tmp_path, monkeypatch):
    monkeypatch.setenv("SVD_LAB_MODELS", str(tmp_path / "gone"))
    roster = "name,model\nA,mini\nB,mini-tubro\nC,svd\nD,/disk/of/the/workers\nE,\n"
    head, *lines = mistakes(plan, roster)
    assert [line.partition("row ")[2][0] for line in lines] == ["3", "4"]
    assert "Did you mean 'mini-turbo'?" in lines[0] and "gone is not a folder" in lines[1]
    assert mistakes(plan, "name\nA\n", parameters={"model": "minni"})


def test_a_yaml_roster_gives_the_same_runs_as_a_csv(plan):
    table = plan("name,seed,share,noisy\nA,7,0.25,true\nB,,,\n").runs
    text = "- name: A\n  seed: 7\n  share: 0.25\n  noisy: true\n- name: B\n"
    assert plan(text, ".yaml").runs == table


def test_all_mistakes_are_reported_at_once_with_their_rows(plan, tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    outside = tmp_path.parent / "outside.png"
    Image.new("RGB", (64, 64)).save(outside)
    (tmp_path / "link.png").symlink_to(outside)
    roster = (
        "name,seed,picture,sead,out_dir,noisy\n"
        "A,abc,rocket,,,\n"  # 2
        "a,1,../outside.png,,,\n"  # 3: a duplicate where capitals do not count; outside the class folder
        ",2,link.png,,,\n"  # 4: no name; a link that leads outside
        "C,1.97E+09,gone.png,,,\n"  # 5
        "=1+1,4294967296,notes.txt,,,\n"  # 6
        "E,#REF!,rocket,,,maybe\n"  # 7
        "F,1,rocket,,,,more\n"  # 8: a cell too many
        "../..,1,/etc/passwd,,,\n"  # 9
    )
    lines = mistakes(plan, roster)
    text = "\n".join(lines)
    assert "nothing was run" in lines[0] and f"{len(lines) - 1} mistakes" in lines[0]
    for row, words in [
        (2, "seed must be a whole number, not 'abc'"),
        (3, "the name 'a' is already used in row 2"),
        (3, "'../outside.png' is outside the roster's folder"),
        (4, "the name is missing"),
        (4, "'link.png' is outside"),
        (5, "A spreadsheet shortened it"),
        (5, "there is no picture 'gone.png'"),
        (6, "begins with '='"),
        (6, "seed must be a whole number from -1"),
        (6, "text, not a picture"),
        (7, "#REF!, an error of a formula"),
        (7, "noisy must be true or false"),
        (8, "7 cells under 6 columns"),
        (9, "'/etc/passwd' is outside"),
    ]:
        assert any(line.startswith(f"  row {row}: ") and words in line for line in lines), (row, words, text)
    assert "no lesson has a parameter 'sead'. Did you mean 'seed'?" in text
    assert "out_dir cannot be given" in text


def test_a_missing_column_and_a_wrong_encoding_join_the_other_mistakes(plan):
    text = "\n".join(mistakes(plan, "student,seed\n민지,abc\n".encode("cp949")))
    assert "this is not UTF-8" in text and "CSV UTF-8" in text
    assert "no column 'name'; the columns are student, seed" in text
    assert "'student'" in text and "seed must be a whole number" in text


@pytest.mark.parametrize(
    "roster, suffix, words",
    [
        ("", ".csv", "it has no rows"),
        ("name,seed\n", ".csv", "it has no students"),
        ("name,seed,seed\nA,1,2\n", ".csv", "2 columns 'seed'"),
        (b"PK\x03\x04xl/workbook.xml", ".csv", "Excel workbook"),
        ('name,seed\n"A,1\n' + "x" * 200_000, ".csv", "cannot be read as CSV"),
        ("name,prompt\nA,a\0b\n", ".csv", "control character"),
        ("name: A", ".yaml", "there should be a list"),
        ("- name: [A", ".yaml", "cannot be read as YAML"),
        ("- name: yes\n  seed: [1]", ".yaml", "Put it in quotation marks"),
        ("- name: A\n  seed: true", ".yaml", "seed must be a number"),
        ("- name: A\n  mode: 7", ".yaml", "mode must be text"),
        ("- A", ".yaml", "there should be a list"),
        ("name\nCON\n", ".csv", "reserved"),
        ("name\n...\n", ".csv", "cannot become a folder"),
        ("name,prompt\nA, \nindex.html,x\n", ".csv", "reserved"),
    ],
)
def test_an_invalid_roster_is_refused_with_the_reason(plan, roster, suffix, words):
    assert words in "\n".join(mistakes(plan, roster, suffix))


def test_a_thousand_rows_of_mistakes_are_reported_in_few_lines(plan):
    rows = [f"student {number % 500},x{number},=A{number}" for number in range(1000)]
    start = time.process_time()  # of this process alone: other ones may be busy
    lines = mistakes(plan, "\n".join(["name,seed,mode", *rows]))
    assert time.process_time() - start < 10
    assert "2,500 mistakes" in lines[0] and len(lines) == 1 + 3 * 11
    assert sum("more of this kind" in line for line in lines) == 3


def test_a_students_own_parameter_takes_precedence(plan):
    runs = plan("name,seed\nA,1\nB,\n", parameters={"seed": "9", "mode": "x"}).runs
    assert [run.parameters for run in runs] == [{"seed": 1, "mode": "x"}, {"seed": 9, "mode": "x"}]
    assert "no lesson has a parameter '-p sed'" in "\n".join(mistakes(plan, "name\nA\n", parameters={"sed": "9"}))


def test_a_column_goes_to_the_lessons_that_have_the_parameter(tmp_path):
    both = [
        write_notebook(tmp_path / "a.ipynb", parameters='picture: str = "rocket"\nseed: int = 1'),
        write_notebook(tmp_path / "b.ipynb", parameters='prompt: str = "x"\nseed: int = 1'),
    ]
    (tmp_path / "roster.csv").write_text("name,picture,prompt,seed\nA,rabbit,a cat,3\n")
    a, b = make_plan(tmp_path / "roster.csv", both).runs
    assert a.parameters == {"picture": "rabbit", "seed": 3} and b.parameters == {"prompt": "a cat", "seed": 3}
    with pytest.raises(ValueError, match="given twice"):
        make_plan(tmp_path / "roster.csv", [both[0], both[0]])


def test_a_runs_key_is_of_notebook_parameters_and_picture_alone(plan, tmp_path):
    def key(roster="name,seed,picture\nA,1,me.png\n"):
        return plan(roster).runs[0].key

    Image.new("RGB", (64, 64), "red").save(tmp_path / "me.png")
    first = key()
    executed = nbformat.read(tmp_path / "small.ipynb", as_version=4)
    executed.cells[1].outputs = [nbformat.v4.new_output("stream", text="1")]
    executed.cells[1].execution_count = 1
    nbformat.write(executed, tmp_path / "small.ipynb")
    assert key() == first, "outputs are no part of what is run"
    assert key("name,picture,seed\nSomeone,me.png,1\n") == first, "nor is who it is for, or the order of columns"
    assert key("name,seed,picture\nA,2,me.png\n") != first
    Image.new("RGB", (64, 64), "blue").save(tmp_path / "me.png")
    assert (second := key()) != first
    write_notebook(tmp_path / "small.ipynb", "print(seed + 1)")
    assert key() not in (first, second)


def test_a_picture_is_found_by_any_unicode_form_and_with_backslashes(plan, tmp_path):
    import unicodedata

    (tmp_path / "photos").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "photos" / unicodedata.normalize("NFD", "민지.png"))
    (run,) = plan("name,picture\nA,photos\\민지.png\n").runs
    assert (
        unicodedata.normalize("NFC", run.parameters["picture"]) == "민지.png"
        and run.picture[1] == run.parameters["picture"]
    )


def test_names_that_cannot_be_folders_get_similar_folders(plan):
    runs = plan('name\n<b>Kim</b>\nA/B:C\n".. x{1}%#[a]*?"\n').runs
    assert [run.folder for run in runs] == ["_b_Kim__b_/small", "A_B_C/small", "x_1____a___/small"]
    assert runs[0].student == "<b>Kim</b>"


def test_a_damaged_utf_16_file_is_a_mistake(tmp_path):
    (tmp_path / "a.csv").write_bytes("name\nA\n".encode("utf-16") + b"\x00")
    _, _, wrong = read_roster(tmp_path / "a.csv")
    assert wrong[0].kind == "encoding" and "damaged UTF-16" in wrong[0].text
