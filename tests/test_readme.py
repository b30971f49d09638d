"""The Python blocks of README.md and of the pages under docs/ run, in order, as a reader would run them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(
    r"^(?P<fence>`{3,})(?P<info>[^\n`]*)\n(?P<code>.*?)^(?P=fence)[ \t]*$", re.MULTILINE | re.DOTALL
)


def python_blocks(text: str) -> list[tuple[int, str]]:
    """Return (number of the first line, code) of each block that is marked `python` and not `no-run`."""
    return [
        (text.count("\n", 0, match.start("code")) + 1, match["code"])
        for match in FENCE.finditer(text)
        if match["info"].split()[:1] == ["python"] and "no-run" not in match["info"].split()
    ]


PAGES = [
    pytest.param(page, id=page.relative_to(ROOT).as_posix())
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if page.is_file() and python_blocks(page.read_text("utf-8"))
]


def run_blocks(text: str, name: str) -> None:
    """Execute the blocks of one page in one namespace; a traceback shows the page's own line numbers."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    for first_line, code in python_blocks(text):
        exec(compile("\n" * (first_line - 1) + code, name, "exec"), namespace)


@pytest.mark.parametrize("page", PAGES)
def test_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_blocks(page.read_text("utf-8"), str(page))


def test_readme_has_a_block() -> None:
    readme = ROOT / "README.md"
    assert readme.is_file(), "README.md is missing"
    assert python_blocks(readme.read_text("utf-8")), "README.md shows no Python that runs"


def test_blocks_are_told_apart() -> None:
    text = (
        "a\n```python\nx = 1\n```\n```python no-run\n1 / 0\n```\n"
        "```text\n>>>\n```\n```\n1 / 0\n```\n```python\ny = x\n```\n"
    )
    assert python_blocks(text) == [(3, "x = 1\n"), (15, "y = x\n")]
    run_blocks(text, "page.md")


def test_a_block_that_fails_is_reported_at_its_line() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        run_blocks("a\n\n```python\nx = 0\n1 / x\n```\n", "page.md")
    assert caught.traceback[-1].lineno + 1 == 5
