from __future__ import annotations

import contextlib
import io
import os
import pty
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console, RenderableType
from runs_for_tests import HOSTILE, Story, generation, progress

from emoprune.records import Progress, State
from emoprune.report.terminal import LiveView, front_table, status_panel
from emoprune.report.wording import significant

RUN = Story(generations=4).tell()
LONG = Story(generations=25).tell()

WATCH_A_SEARCH = """
import time
from runs_for_tests import Story, generation, progress
from emoprune.report.wording import significant
from emoprune.report.terminal import LiveView

run = Story(generations=2).tell()
with LiveView(lambda: progress(failed=0), lambda: run) as view:
    for index in range(3):
        time.sleep(0.2)
        view.generation(generation(index))
    print("a result")
"""


def drawn(renderable: RenderableType, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def plain_view(console: Console) -> LiveView:
    return LiveView(progress, lambda: RUN, console)


def in_a_terminal(columns: int, **variables: str) -> tuple[str, str]:
    """Watch a search in a real pseudo-terminal; return what it got and what went to standard output."""
    terminal, child = pty.openpty()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[1] / "support"),
        "COLUMNS": str(columns),
    }
    watching = subprocess.Popen(
        [sys.executable, "-c", WATCH_A_SEARCH],
        stdout=subprocess.PIPE,
        stderr=child,
        text=True,
        env={**environment, "TERM": "xterm-256color", **variables},
    )
    os.close(child)
    limit = threading.Timer(60, watching.kill)
    limit.start()
    seen = b""
    with contextlib.suppress(OSError):  # how Linux says that the other end of a pseudo-terminal was closed
        while piece := os.read(terminal, 4096):
            seen += piece
    os.close(terminal)
    out, _ = watching.communicate(timeout=60)
    limit.cancel()
    assert watching.returncode == 0, seen
    return seen.decode(), out


# ---- the live view


def test_a_log_file_gets_one_plain_line_per_generation() -> None:
    file = io.StringIO()
    with plain_view(Console(file=file)) as view:
        view.generation(generation(0))
        view.generation(generation(1, ended="converged"))
    first, second = file.getvalue().splitlines()
    assert first.startswith("generation 0 (1/25)  evaluations 40  failed 1  front 2  hypervolume 0.5  error 1.67 %")
    assert "hypervolume 0.51 (+0.01)" in second
    assert second.endswith("converged")
    assert "\x1b" not in file.getvalue()


def test_a_gain_in_hypervolume_is_written_in_the_way_of_the_hypervolume() -> None:
    file = io.StringIO()
    with plain_view(Console(file=file)) as view:
        for index, volume in enumerate([70_000.0, 74_932.0, 74_932.0]):
            view.generation(generation(index, hypervolume=volume))
    _, second, third = file.getvalue().splitlines()
    assert "hypervolume 74,932 (+4,932)" in second
    assert "hypervolume 74,932 (+0)" in third


@given(st.floats(1, 1e11), st.floats(1, 1.01))
def test_a_hypervolume_that_grows_is_written_in_one_way_all_along(start: float, factor: float) -> None:
    written = [significant(start), significant(start * factor)]
    assert not any("e" in each for each in written)
    assert [float(each.replace(",", "")) for each in written] == pytest.approx([start, start * factor], rel=1e-4)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.0, "0"),
        (0.81234567, "0.81235"),
        (-0.01, "-0.01"),
        (20.0, "20"),
        (99_999.4, "99,999"),
        (100_001.0, "100,001"),
        (2e-5, "2e-05"),
        (1.5e300, "1.5e+300"),
    ],
)
def test_a_number_is_written_with_the_digits_that_count(value: float, written: str) -> None:
    assert significant(value) == written


def test_a_dumb_terminal_gets_plain_lines() -> None:
    seen, _ = in_a_terminal(80, TERM="dumb")
    begin = [line.split("  ")[0] for line in seen.splitlines()]
    assert begin == ["generation 0 (1/25)", "generation 1 (2/25)", "generation 2 (3/25)"]
    assert "\x1b" not in seen


def test_a_terminal_gets_a_panel_that_moves_and_standard_output_only_results() -> None:
    seen, out = in_a_terminal(100)
    assert "digits-widths" in seen
    assert "running: search" in seen
    assert "0.81235 (+0.0012)" in seen
    assert "1 min 23 s, left: about 2 min 10 s" in seen
    assert "\x1b[1A" in seen  # it goes up and draws over itself
    assert out == "a result\n"


def test_no_color_is_respected_in_a_terminal() -> None:
    coloured = re.compile(r"\x1b\[[0-9;]*\b3[0-9](;|m)")
    assert coloured.search(in_a_terminal(100)[0])
    assert not coloured.search(in_a_terminal(100, NO_COLOR="1")[0])


def test_a_terminal_of_forty_columns_shows_every_number_in_full() -> None:
    seen, _ = in_a_terminal(40)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen)
    assert "error 1.67 %" in text
    assert "macs 123,456" in text
    assert max(cell_len(line) for line in text.splitlines()) <= 40


def test_the_view_is_redrawn_at_most_twice_a_second() -> None:
    drawings: list[float] = []

    def look() -> Progress:
        drawings.append(time.monotonic())
        return progress()

    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    with LiveView(look, lambda: RUN, console):
        time.sleep(1.2)
    assert 3 <= len(drawings) <= 6  # made, first, at 0.5 s and at 1.0 s, and last


def test_the_view_starts_before_the_run_has_a_folder_and_while_nothing_is_known() -> None:
    nothing = dict.fromkeys(["hypervolume", "change", "per_second", "remaining"])
    unknown = progress(phase="starting", generations=0, evaluated=0, best={}, workers=0, **nothing)
    file = io.StringIO()
    with LiveView(lambda: unknown, lambda: None, Console(file=file, force_terminal=True, width=60)):
        pass
    assert "starting" in file.getvalue()
    assert "estimating" in file.getvalue()
    assert "not yet" in file.getvalue()


def test_the_last_state_stays_on_the_screen_when_the_search_raises() -> None:
    file = io.StringIO()
    with (
        pytest.raises(RuntimeError, match="disk"),
        LiveView(progress, lambda: RUN, Console(file=file, force_terminal=True)),
    ):
        raise RuntimeError("disk")
    assert "running: search" in file.getvalue()
    assert file.getvalue().endswith("\x1b[?25h")  # the cursor is visible again


def test_failures_are_red_and_no_failures_are_not() -> None:
    def failures(failed: int) -> str:
        console = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=80)
        with console.capture() as capture:
            console.print(status_panel(RUN, progress(failed=failed)))
        return next(line for line in capture.get().splitlines() if "failures" in line)

    assert "\x1b[1;31m7" in failures(7)
    assert "31m" not in failures(0)


def test_a_notebook_gets_one_line_at_the_end() -> None:
    console = Console(file=io.StringIO(), force_jupyter=True, record=True, width=300)
    with plain_view(console) as view:
        for index in range(3):
            view.generation(generation(index))
    assert [line.split("  ")[0] for line in console.export_text().splitlines()] == ["generation 2 (3/25)"]


def test_a_reader_that_goes_away_does_not_stop_the_search() -> None:
    reading, writing = os.pipe()
    file = os.fdopen(writing, "w")
    os.close(reading)
    with plain_view(Console(file=file)) as view:
        view.generation(generation(0))
        view.generation(generation(1))
    with pytest.raises(BrokenPipeError, match="Broken pipe"):  # the pipe is really broken
        file.close()


def test_a_log_that_knows_only_ascii_gets_every_line() -> None:
    raw = io.BytesIO()
    with plain_view(Console(file=io.TextIOWrapper(raw, encoding="ascii"))) as view:
        view.generation(generation(0, best={"duration": 3.0}, ended="zu Ende, größer wird es nicht"))
    assert raw.getvalue().decode("ascii").rstrip().endswith(r"gr\xf6\xdfer wird es nicht")


def test_hostile_names_and_reasons_cannot_steer_the_terminal() -> None:
    run = Story(generations=2, name=HOSTILE, unit=HOSTILE).tell()
    file = io.StringIO()
    with LiveView(progress, lambda: run, Console(file=file, width=300)) as view:
        view.generation(generation(0, ended=HOSTILE))
    texts = [file.getvalue(), drawn(front_table(run), 300), drawn(status_panel(run, progress(message=HOSTILE)), 300)]
    for text in texts:
        assert "[red]=cmd()" in text
        assert not set(text) & {"\x1b", "\u202e", "\u2028"}
    assert len(file.getvalue().splitlines()) == 1


# ---- the status


@pytest.mark.parametrize(
    ("state", "command"),
    [
        (State.RUNNING, "emoprune pareto digits-widths"),
        (State.FINISHED, "emoprune pareto digits-widths"),
        (State.INTERRUPTED, "emoprune resume digits-widths"),
        (State.STALE, "emoprune resume digits-widths"),
        (State.FAILED, "emoprune resume digits-widths"),
    ],
)
def test_the_status_names_the_state_and_the_command_that_goes_on_from_there(state: State, command: str) -> None:
    text = drawn(status_panel(RUN, progress(state=state)))
    assert f" {state.value}{': search' if state is not State.FINISHED else ''} ─" in text
    assert command in text


def test_the_status_says_where_the_run_lies_and_who_works_on_it() -> None:
    text = drawn(status_panel(RUN, progress(message="the disk is full")))
    for part in (str(RUN.path), "4711 on laptop", "2026-11-23T14:06:30+00:00", "the disk is full"):
        assert part in text


def test_generations_are_counted_when_they_are_finished() -> None:
    assert "generations  0/25" in drawn(status_panel(RUN, progress(generation=0, hypervolume=None)))
    assert "generations  1/25" in drawn(status_panel(RUN, progress(generation=0)))
    assert "generations  25/25" in drawn(status_panel(RUN, progress(generation=24)))


def test_time_left_is_only_told_of_a_search_that_runs() -> None:
    assert "left: estimating" in drawn(status_panel(RUN, progress(remaining=None)))
    assert "left" not in drawn(status_panel(RUN, progress(remaining=None, state=State.FINISHED)))


def test_status_starts_without_pandas_plotly_and_jinja() -> None:
    program = (
        "import sys, emoprune.report.terminal; print([n for n in ('pandas', 'plotly', 'jinja2') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


# ---- the table


def test_the_table_begins_with_the_unpruned_and_goes_on_from_best_to_worst() -> None:
    lines = [line.split() for line in drawn(front_table(RUN)).splitlines()]
    rows = [line for line in lines if line and line[0].isdigit() and line[1] != "of"]
    errors = [float(row[1]) for row in rows]
    assert "unpruned" in " ".join(rows[0])
    assert [row[-1] for row in rows[-2:]] == ["uniform-half", "uniform-quarter"]
    assert errors[1:-2] == sorted(errors[1:-2])
    assert sum("knee" in row for row in rows) == 1


def test_the_table_says_on_which_split_its_numbers_were_measured() -> None:
    assert "measured on test" in drawn(front_table(RUN))
    searching = drawn(front_table(Story(generations=2, measured=False).tell()))
    assert "measured on search" in searching
    assert "those on test, which count, are not measured yet" in searching


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_the_table_fits_every_width_without_cutting_a_number(width: int, objectives: int) -> None:
    run = Story(objectives=objectives, generations=4, constrained=True).tell()
    text = drawn(front_table(run), width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    assert "2,433,024" in text or objectives == 1


def test_changes_against_the_unpruned_are_left_out_before_numbers_are() -> None:
    assert "vs" in drawn(front_table(RUN), 100)
    narrow = drawn(front_table(RUN), 50)
    assert "vs" not in narrow
    assert "candidate" in narrow.splitlines()[2]


def test_a_long_front_is_shown_evenly_and_says_how_to_see_all_of_it() -> None:
    members = int(LONG.pareto["rank"].eq(1).sum())
    text = drawn(front_table(LONG))
    assert f"20 of {members}, evenly spread; {members - 20} are left out" in text
    assert "emoprune pareto digits-widths --csv" in text


@settings(deadline=None, max_examples=25)  # drawing takes longer on a busy machine
@given(limit=st.integers(min_value=-1, max_value=70))
def test_however_few_are_shown_the_knee_and_both_ends_are_among_them(limit: int) -> None:
    front = LONG.pareto[LONG.pareto["rank"].eq(1).fillna(value=False)].sort_values(["test.error", "test.macs"])
    knee = front.loc[front["knee"].eq(1), "candidate_id"].item()
    rows = [line.split() for line in drawn(front_table(LONG, limit)).splitlines()]
    shown = [int(row[0]) for row in rows if row and row[0].isdigit() and row[1] != "of"]
    assert {knee, front["candidate_id"].iloc[0], front["candidate_id"].iloc[-1]} <= set(shown)
    assert len(shown) == len(set(shown)) <= max(3, limit) + 3


def test_the_table_counts_those_that_left_the_front_when_they_were_measured_again() -> None:
    left = LONG.pareto["rank"].gt(1) & LONG.pareto["name"].eq("")
    assert f"{left.sum()} more are not on the front" in drawn(front_table(LONG))


def test_a_run_without_a_single_success_says_so_and_lists_what_failed() -> None:
    run = Story(failing=1.0, generations=1).tell()
    text = drawn(front_table(run))
    assert "No candidate is on the front: none could be measured." in text
    going = replace(run, progress=progress(state=State.RUNNING))
    assert "No candidate is on the front yet." in drawn(front_table(going))
    assert "unpruned, failed (error)" in text
    assert "nan" not in text
