"""What the demo shows of its steps, and what it keeps for a log."""

import io
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console

from examples import figures
from examples.steps import Steps
from mlflow_sealed import process

PRINTED = """
noise of a tool
| | held out (9 rows) | ours, cross-validated | another, likewise |
|---|---|---|---|
| AUC | 0.858 (0.800 to 0.912) | 0.841 (0.835 to 0.846) | 0.836 (0.834 to 0.839) |
| Sensitivity | not defined | 0.801 (0.792 to 0.810) | 0.801 (0.792 to 0.813) |
run 4b3c: models:/diabetes/1 is the champion
"""


def steps(log: Path | None, *, terminal: bool = False) -> tuple[Steps, io.StringIO]:
    shown = io.StringIO()
    console = Console(file=shown, width=60, force_terminal=terminal, color_system=None)
    return Steps(2, log, console), shown


def echo(line: str, log: Path | None) -> None:
    code = f"import sys; print({line!r}, flush=True); print('and this', file=sys.stderr)"
    process.run([sys.executable, "-c", code], log=log, hint="")


def test_a_step_is_a_line_with_its_time_and_its_output_is_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "made" / "log"
    two, shown = steps(log)
    with two.step("first"):
        echo("a tool's output", log)
    with two.step("second"):
        two.say("a line of ours")
    lines = shown.getvalue().splitlines()
    assert [line.split()[:3] for line in lines] == [["✓", "1/2", "first"], ["✓", "2/2", "second"]]
    assert all(re.search(r" \d+ s$", line) for line in lines)
    assert {len(line) for line in lines} == {60}
    kept = "\n== 1/2  first\na tool's output\nand this\n\n== 2/2  second\na line of ours\n"
    assert two.output() == log.read_text(encoding="utf-8") == kept


def test_on_a_terminal_a_running_step_can_be_seen(tmp_path: Path) -> None:
    two, shown = steps(tmp_path / "log", terminal=True)
    with two.step("the first"):
        assert "1/2  the first 0:00:00" in shown.getvalue()
        assert "✓" not in shown.getvalue()
    assert "✓ 1/2  the first" in shown.getvalue()


def test_the_log_of_an_earlier_job_is_replaced(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("earlier", encoding="utf-8")
    assert steps(log)[0].output() == ""


def test_a_step_that_fails_shows_the_end_of_its_own_output(tmp_path: Path) -> None:
    log = tmp_path / "log"
    two, shown = steps(log)
    with two.step("first"):
        echo("what went well", log)
    command = [sys.executable, "-c", "print(*range(100), sep='\\n'); raise SystemExit(3)"]
    with pytest.raises(process.ProcessError, match="ended with status 3"), two.step("second"):
        process.run(command, log=log, hint="")
    assert "what went well" not in shown.getvalue()
    assert shown.getvalue().splitlines()[1:] == [str(number) for number in range(60, 100)]


def test_without_a_log_everything_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    two, shown = steps(None)
    with two.step("first"):
        echo("a tool's output", None)
        two.say("a line of ours")
    assert capfd.readouterr() == ("a tool's output\n", "and this\n")
    assert "== 1/2  first\na line of ours\n✓ 1/2  first" in shown.getvalue()
    assert two.output() == ""


def test_the_table_of_a_training_fits_80_columns() -> None:
    shown = io.StringIO()
    table = figures.table(PRINTED)
    assert table is not None
    Console(file=shown, width=80).print(table)
    rows = [line.split("  ") for line in shown.getvalue().splitlines()]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert ["AUC", "0.841 (0.835 to 0.846)", "0.836", "0.858"] in cells
    assert ["Sensitivity", "0.801 (0.792 to 0.810)", "0.801", "not defined"] in cells
    assert "likewise" not in shown.getvalue()


def test_what_became_of_the_model_is_found() -> None:
    assert figures.outcome(PRINTED) == "models:/diabetes/1 is the champion"


def test_a_training_that_printed_nothing_has_neither() -> None:
    assert figures.table("") is None
    assert figures.outcome("") is None
