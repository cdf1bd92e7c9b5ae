"""README and docs: short enough, and everything that they name is there."""

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.environ import ROOT

PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "benchmarks/*.md", "my*/*.md", "mlflow_*/*.md")
    for path in ROOT.glob(pattern)
)
"""Every page, and what its links and names are relative to."""

GROUPS = ("feed", "image", "model")
"""The groups of ``mlflow-sealed`` that have commands of their own."""


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(params=PAGES, ids=named)
def page(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@cache
def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def anchors(path: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    titles = re.findall(r"^#+ (.*)$", text(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def code(path: Path) -> list[str]:
    """What a page shows as code, in blocks and in lines; comments are left out."""
    blocks = re.findall(r"```.*?\n(.*?)```", text(path), re.DOTALL)
    blocks = [re.sub(r"(?m)(?:^|\s)# .*$", "", block) for block in blocks]
    rest = re.sub(r"```.*?```", "", text(path), flags=re.DOTALL)
    return [*blocks, *re.findall(r"`([^`\n]+)`", rest)]


def broken_links(path: Path) -> list[str]:
    found = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text(path)):
        target, _, anchor = link.partition("#")
        if "://" in link:
            continue
        there = (path.parent / target) if target else path
        if not there.exists() or (anchor and anchor not in anchors(there)):
            found.append(link)
    return found


def test_the_readme_is_for_two_minutes() -> None:
    assert len(text(ROOT / "README.md").split()) <= 700


def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One\n[a](page.md#one) [b](#two) [c](gone.md)", encoding="utf-8")
    assert broken_links(page) == ["#two", "gone.md"]


def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", text(ROOT / "Makefile"), re.MULTILINE))
    shown = {name for part in code(page) for name in re.findall(r"(?:^|\s)make ([a-z]+)", part)}
    assert shown - targets == set()


@cache
def commands(group: str) -> set[str]:
    """The commands of a group, as its help has them."""
    done = subprocess.run(
        [sys.executable, "-m", "mlflow_sealed.cli", group, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(re.findall(r"^ {4}(\w+) {2}", done.stdout, re.MULTILINE))


@pytest.mark.parametrize("group", GROUPS)
def test_every_command_of_the_toolkit_exists(group: str) -> None:
    wanted = rf"mlflow-sealed {group} (\w+)"
    shown = {name for page in PAGES for part in code(page) for name in re.findall(wanted, part)}
    assert shown
    assert shown - commands(group) == set()


def test_every_module_that_is_run_exists(page: Path) -> None:
    shown = {name for part in code(page) for name in re.findall(r"python -m ([\w.]+)", part)}
    assert [name for name in shown if importlib.util.find_spec(name) is None] == []


TOOLKIT = ROOT / "mlflow_sealed" / "src"
FOLDERS = {path.parent.name for path in ROOT.glob("[a-z]*/*")} - {"mlflow_sealed"}


def is_there(name: str) -> bool:
    """Whether a path exists; one that begins with a package of the toolkit's may leave out src."""
    return any((top / name).exists() for top in (ROOT, TOOLKIT))


def test_every_path_exists() -> None:
    pages = [page for page in PAGES if page.parent.name == "docs" or page.name == "README.md"]
    top = "|".join(sorted(FOLDERS | {"mlflow_sealed", "mlflow_sealed_pyfunc"}))
    shown = {
        part for page in pages for part in code(page) if re.fullmatch(rf"({top})/[\w/.]*", part)
    }
    assert len(shown) > 20, "the paths were not found"
    assert [name for name in sorted(shown) if not is_there(name)] == []


def test_every_test_that_a_reviewer_is_shown_exists() -> None:
    trees = [ast.parse(text(path)) for path in ROOT.glob("tests/**/*.py")]
    tests = {
        node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
    }
    shown = re.findall(r"`(test_\w+)`", "".join(text(page) for page in PAGES))
    assert len(shown) > 50, "the names were not found"
    assert [name for name in shown if name not in tests] == []


def test_every_page_is_in_the_index() -> None:
    index = text(ROOT / "docs" / "README.md")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert [name for name in sorted(pages) if f"]({name})" not in index] == []


def test_every_key_of_the_project_file_is_explained() -> None:
    read = tomllib.loads(text(ROOT / "project.toml"))
    explained = text(ROOT / "mlflow_sealed" / "README.md")
    keys = {f"{part}.{key}" for part, found in read.items() if part != "locks" for key in found}
    assert [key for key in sorted(keys) if f"`{key}`" not in explained] == []


def test_the_picture_is_legible_on_a_dark_page() -> None:
    """It has a background of its own, as large as itself."""
    picture = ET.parse(ROOT / "docs" / "architecture.svg").getroot()  # noqa: S314 # our own file
    width, height = picture.get("width"), picture.get("height")
    first = picture.find("{http://www.w3.org/2000/svg}rect")
    assert first is not None
    assert first.attrib == {"width": width, "height": height, "fill": "#ffffff"}
