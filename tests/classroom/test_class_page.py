"""What the page of a class promises as a file: escaped, small, failures first, links that work, no network. tests/browser_class.py
tests it in a browser."""

import csv
import io
import json
import re
import time
from pathlib import Path

import pytest
from PIL import Image

from svd_lab.classroom.page import make_page, make_table, write_summary
from svd_lab.classroom.plan import Run, make_plan
from svd_lab.classroom.store import open_store, prepare
from svd_lab.commands.main import build_parser

ROOT = Path(__file__).parents[2]
EVIL = '</script><img src=x onerror="alert(1)">&amp;'


def make_class(students, lessons=("02_rocket",), **more):
    """(runs, records) of a class in which every tenth run failed and every last student's was not run."""
    runs, records = [], {}
    for number in range(students):
        for lesson in lessons:
            folder = f"학생 {number}/{lesson}"
            parameters = {"seed": number * 1_000_003, "picture": f"photos/{number}.jpg", **more}
            run = Run(f"학생 {number}", lesson, folder, "key", "sha", parameters)
            runs.append(run)
            if number == students - 1:
                continue
            failed = number % 10 == 9
            records[folder] = {
                "status": "failed" if failed else "done",
                "seconds": 61.234,
                "cell": "code cell 4 of 12 (rabbit)" if failed else None,
                "message": "RuntimeError: " + "x" * 2000 if failed else "",
                "files": {f"{lesson}.ipynb": 9} | ({} if failed else {"result.json": 9}),
                "clips": []
                if failed
                else ["rocket.mp4", *(f"motion bucket {clip}.mp4" for clip in range(26))],  # as lesson 2,
            }
    return runs, records


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


def test_failures_come_first_then_what_is_done_then_what_was_not_run():
    data = data_of(make_page(*make_class(30), "a class", "en"))
    statuses = [row[2] for row in data["runs"]]
    assert statuses == [0] * 2 + [1] * 27 + [2] and data["counts"] == [2, 27, 1]
    assert data["statuses"] == ["failed", "done", "not run"]
    assert data["runs"][0][0] == 9 and data["students"][9] == ["학생 9", "학생 9"]
    assert data["runs"][0][6] == "code cell 4 of 12 (rabbit)"


@pytest.mark.parametrize("where", ["student", "folder", "lesson", "parameter", "message", "clip", "title"])
def test_no_text_of_a_class_becomes_html(where):
    name = EVIL if where == "student" else "A"
    lesson = "x" + EVIL if where == "lesson" else "02_rocket"
    folder = f"{EVIL.replace('/', '') if where == 'folder' else 'A'}/{lesson}"
    run = Run(name, lesson, folder, "k", "n", {"prompt": EVIL if where == "parameter" else "a cat"})
    texts = {
        "message": EVIL if where == "message" else "",
        "clips": [EVIL if where == "clip" else "a.mp4"],
        "files": {},
    }
    page = make_page(
        [run], {folder: {"status": "failed", "seconds": 1, "cell": None, **texts}}, EVIL if where == "title" else "T"
    )
    assert page.count("<img") == 0 and page.lower().count("</script>") == 2 == page.count("<script")
    inside = json.dumps(data_of(page), ensure_ascii=False)
    assert where == "title" or 'onerror=\\"alert(1)' in inside, "it is there, as text"


@pytest.mark.parametrize("students, lessons", [(1000, ["02_rocket"]), (1000, ["01", "02", "03", "04"])])
def test_a_page_of_a_thousand_students_stays_below_five_megabytes(students, lessons):
    runs, records = make_class(students, lessons, prompt="an astronaut " * 100)
    start = time.process_time()  # of this process alone: other ones may be busy
    page = make_page(runs, records, "a class", "ko")
    assert len(page.encode()) < 5e6 and time.process_time() - start < 10
    assert len(data_of(page)["runs"]) == len(runs)


def test_the_page_needs_no_network_and_has_all_words_in_both_languages():
    runs, records = make_class(3)
    pages = {language: make_page(runs, records, "T", language, now="today") for language in ("ko", "en")}
    for language, page in pages.items():
        assert not re.search(r"https?:|//\w+\.", page) and f'lang="{language}"' in page and "{{" not in page
    words = {language: data_of(page)["words"] for language, page in pages.items()}
    assert words["ko"].keys() == words["en"].keys()
    used = set(re.findall(r"\bwords\.(\w+)|words\[", pages["en"])) - {""}
    assert used <= words["en"].keys()


def test_the_table_opens_in_a_spreadsheet_and_holds_no_formula(tmp_path):
    runs, records = make_class(12, mode="=HYPERLINK(1)", share=-0.5)
    records[runs[9].folder]["message"] = "@SUM(1)\nand more"
    rows = list(csv.DictReader(io.StringIO(make_table(runs, records))))
    assert [row["status"] for row in rows].count("failed") == 1 and rows[11]["status"] == "waiting"
    assert rows[0]["mode"] == "'=HYPERLINK(1)" and rows[9]["message"].startswith("'@SUM") and rows[0]["share"] == "-0.5"
    store = open_store(str(tmp_path / "out"))
    prepare(store, resume=False)
    write_summary(store, runs, records, "T", "ko")
    assert (tmp_path / "out" / "summary.csv").read_bytes().startswith(b"\xef\xbb\xbfstudent,")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {".class", "index.html", "summary.csv"}


def test_a_lone_surrogate_does_not_stop_the_page():
    run = Run("A", "b", "A/b", "k", "n", {"prompt": "\ud83d"})
    assert data_of(make_page([run], {}, "T"))["runs"][0][4] == ["prompt ?"] and "?" in make_table([run], {})


# The instructor's page


def bare(block):
    """A block of code without its comments, which are translated, and without the language it asks for."""
    return re.sub(r" +# .*", "", block).replace("--language ko", "--language en").replace("lessons/ko", "lessons/en")


@pytest.mark.parametrize(
    "part",
    [
        lambda text: [line.split(" ")[0] for line in text.splitlines() if re.match("#+ ", line)],
        lambda text: [bare(block) for block in re.findall(r"^```.*?^```", text, re.M | re.S)],
        lambda text: sorted(re.findall(r"\]\(([^)]+)\)", re.sub(r"\.(ko|en)\.md", ".md", text))),
        lambda text: [line.count("|") for line in text.splitlines() if line.startswith("|")],
        lambda text: sorted(set(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)))),
    ],
    ids=["headings", "code blocks", "links", "tables", "code in sentences"],
)
def test_the_korean_instructors_page_has_what_the_english_one_has(part):
    english, korean = ((ROOT / "docs" / name).read_text("utf-8") for name in ("class.md", "class.ko.md"))
    assert part(english) == part(korean) and part(korean)


def test_the_instructors_page_gives_commands_and_a_roster_that_work(tmp_path):
    page = (ROOT / "docs" / "class.md").read_text("utf-8")
    commands = re.findall(r"^svd-lab (class .*)$", page, re.M)
    assert len(commands) == 2
    parser = build_parser()
    for command in commands:
        assert parser.parse_args(command.split()).roster == "class.csv"
    for flag in set(re.findall(r"`(--[a-z]+)", page)):
        assert flag in ("--timeout", "--resume", "--scheduler", "--workers", "--threads", "--out"), flag
        parser.parse_args([*commands[0].split(), flag, *([] if flag == "--resume" else ["1"])])
    (tmp_path / "class.csv").write_text(re.search(r"```text\n(name,.*?)```", page, re.S)[1], "utf-8")
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "photos" / "minji.jpg")
    runs = make_plan(tmp_path / "class.csv", ["02", "03"], language="en", parameters={"model": "mini"}).runs
    assert [run.folder for run in runs][:2] == ["김민지/02_rocket", "김민지/03_your_picture"] and len(runs) == 4
    for path in re.findall(r"\]\(([^):]+)\)", page):
        assert (ROOT / "docs" / path).is_file()
