"""Write the READMEs' table of lessons, its pictures, and how to get the repository: python docs/lesson_table.py [--table]

Everything in it is read from its source: a lesson's title and what it makes from its first cell, the seconds from the saved run's
result.json, the picture from a video in the Korean notebook, the repository's address from pyproject.toml. Run it after
`lessons/build.py --execute`; --table leaves the pictures as they are. Links to Binder, Colab and Kaggle appear once the repository
has an address (lessons/repository.py). A test compares the READMEs with it.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import tempfile
import tomllib
from pathlib import Path

import imageio_ffmpeg
import nbformat
from nbformat import NotebookNode
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 320  # pixels of a picture
VIDEO = re.compile(r'src="data:video/mp4;base64,([^"]+)"')
SHOWN = {"02_rocket": "motion"}  # the cell whose first video illustrates the lesson; default: the first video of all
MARKS = ("<!-- lessons: written by docs/lesson_table.py -->", "<!-- end of lessons -->")
CLONE_MARKS = ("<!-- clone: written by docs/lesson_table.py -->", "<!-- end of clone -->")
START_PAGE = ROOT / "lessons" / "start.ipynb"
START = (
    "Click a lesson; then *Run → Run All Cells* runs it. The times are those of the saved runs, on one CPU core. "
    "Run one notebook at a time where memory is scarce: *Kernel → Shut Down Kernel* before you open the next.",
    "",
    "강의를 누르고 *Run → Run All Cells*로 실행하세요. 시간은 저장된 실행에서 CPU 코어 하나로 잰 값이에요. "
    "메모리가 적은 곳에서는 노트북을 하나씩만 돌리고, 다음 것을 열기 전에 *Kernel → Shut Down Kernel*로 커널을 끄세요.",
)
WORDS = {
    "en": {
        "readme": "README.md",
        "head": ("", "lesson", "you make", "on a CPU", "open"),
        "seconds": "{} s",
        "minutes": "{} min",
        "picture": "A clip made in lesson {}",
        "clone": "1. Clone this repository, and change into its folder:",
        "copy": "1. Unpack the copy of this repository that you were given, and change into its folder in a terminal.",
    },
    "ko": {
        "readme": "README.ko.md",
        "head": ("", "강의", "만들 것", "CPU에서", "열기"),
        "seconds": "{}초",
        "minutes": "{}분",
        "picture": "{}강에서 만드는 영상",
        "clone": "1. 이 저장소를 복제(clone)하고 그 폴더로 가세요.",
        "copy": "1. 받은 저장소 사본의 압축을 풀고, 터미널에서 그 폴더로 가세요.",
    },
}


def lessons() -> list[str]:
    """List the names of all lessons, in order."""
    return [path.stem for path in sorted((ROOT / "lessons" / "ko").glob("[0-9][0-9]_*.ipynb"))]


def read(name: str, language: str) -> NotebookNode:
    """Read a lesson's committed notebook."""
    return nbformat.read(ROOT / "lessons" / language / f"{name}.ipynb", as_version=4)


def seconds(name: str) -> float:
    """The seconds of the committed run, as its title says them, too."""
    return json.loads((ROOT / "lessons" / "results" / f"{name}.json").read_text("utf-8"))["seconds"]


def picture(name: str) -> Path:
    """The path of the lesson's moving picture."""
    return ROOT / "docs" / f"lesson-{name[:2]}.webp"


def make_picture(name: str) -> None:
    """Write the lesson's video as an animated WebP, WIDTH pixels wide, at its own frame rate."""
    cells = [cell for cell in read(name, "ko").cells if cell.cell_type == "code"]
    shown = [cell for cell in cells if SHOWN.get(name, cell.id) == cell.id]
    html = "".join(output.get("data", {}).get("text/html", "") for cell in shown for output in cell.outputs)
    found = VIDEO.search(html)
    if found is None:
        raise ValueError(f"{name} shows no video{f' in its cell {SHOWN[name]!r}' if name in SHOWN else ''}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "clip.mp4"
        file.write_bytes(base64.b64decode(found[1]))
        stream = imageio_ffmpeg.read_frames(str(file))
        about = next(stream)
        frames = [Image.frombytes("RGB", about["size"], data) for data in stream]
    size = (WIDTH, round(frames[0].height * WIDTH / frames[0].width))
    frames = [frame.resize(size, Image.Resampling.LANCZOS) for frame in frames]
    duration = round(1000 / about["fps"])
    frames[0].save(
        picture(name), save_all=True, append_images=frames[1:], duration=duration, loop=0, quality=70, method=6
    )


def repository_address() -> str | None:
    """The repository's address; None until lessons/repository.py has written one."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"].get("urls", {}).get("Repository")


def hosts(path: str, address: str) -> list[str]:
    """Links that open a notebook of the repository at an address on Binder, Colab and Kaggle."""
    repository = address.removeprefix("https://github.com/")
    return [
        f"[Binder](https://mybinder.org/v2/gh/{repository}/HEAD?labpath={path.replace('/', '%2F')})",
        f"[Colab](https://colab.research.google.com/github/{repository}/blob/HEAD/{path})",
        f"[Kaggle](https://kaggle.com/kernels/welcome?src={address}/blob/HEAD/{path})",
    ]


def table(language: str, address: str | None) -> str:
    """Format the table in "en" or "ko" as Markdown; without an address there are no links to hosts."""
    words = WORDS[language]
    lines = [f"| {' | '.join(words['head'])} |", "|---" * len(words["head"]) + "|"]
    for name in lessons():
        first = read(name, language).cells[0].source
        title = re.search(r"^# (.+)", first, re.M)[1]
        made = re.findall(r"^\| [^|]+ \| (.+) \|$", first, re.M)[0]
        path = f"lessons/{language}/{name}.ipynb"
        places = [f"[한국어](lessons/ko/{name}.ipynb)", f"[English](lessons/en/{name}.ipynb)"]
        places += hosts(path, address) if address else []
        image = f"![{words['picture'].format(int(name[:2]))}](docs/{picture(name).name})"
        lines.append(f"| {image} | {title} | {made} | {_time(name, language)} | {' · '.join(places)} |")
    return "\n".join(lines)


def clone(language: str, address: str | None) -> str:
    """The step that gets the repository: git's line where there is an address, else a copy that somebody hands over."""
    if address is None:
        return WORDS[language]["copy"]
    folder = address.rsplit("/", 1)[-1]
    return f"{WORDS[language]['clone']}\n\n   ```bash\n   git clone {address} && cd {folder}\n   ```\n"


def with_table(text: str, language: str) -> str:
    """Put the table, and the step that gets the repository, between their marks in a README's `text`."""
    for marks, write in ((MARKS, table), (CLONE_MARKS, clone)):
        before, rest = text.split(marks[0])
        after = rest.split(marks[1])[1]
        text = f"{before}{marks[0]}\n{write(language, repository_address())}\n{marks[1]}{after}"
    return text


def start_page() -> str:
    """The notebook lessons/start.ipynb, which JupyterLab opens first: a table that links the lessons in both languages."""
    rows = ["| | English | 한국어 | |", "|---|---|---|---|"]
    for name in lessons():
        titles = {language: re.search(r"^# (.+)", read(name, language).cells[0].source, re.M)[1] for language in WORDS}
        links = [f"[{titles[language]}]({language}/{name}.ipynb)" for language in WORDS]
        times = " · ".join(_time(name, language) for language in WORDS)
        rows.append(f"| ![](../docs/{picture(name).name}) | {' | '.join(links)} | {times} |")
    text = "\n".join(["# svd-lab", "", *START, "", *rows])
    cell = nbformat.v4.new_markdown_cell(text, id="start")
    metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return nbformat.writes(nbformat.v4.new_notebook(cells=[cell], metadata=metadata), indent=1) + "\n"


def _time(name: str, language: str) -> str:
    took = seconds(name)
    words = WORDS[language]
    return words["seconds"].format(f"{took:.0f}") if took < 90 else words["minutes"].format(f"{took / 60:.1f}")


def main() -> None:
    for name in lessons() if sys.argv[1:] != ["--table"] else ():
        make_picture(name)
        print(f"{picture(name).relative_to(ROOT)}: {picture(name).stat().st_size / 1e3:.0f} kB")
    for language, words in WORDS.items():
        readme = ROOT / words["readme"]
        readme.write_text(with_table(readme.read_text("utf-8"), language), "utf-8")
    START_PAGE.write_text(start_page(), "utf-8")


if __name__ == "__main__":
    main()
