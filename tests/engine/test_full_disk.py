"""The disk fills up in the middle of a search: it ends with the reason, and resumes once there is room."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from problems_for_tests import Knapsack12

import emoprune
from emoprune.run import Run

SETTINGS = {"search": {"population": 10, "generations": 6, "seed": 3}, "evaluation": {"backend": "serial"}}
# A limit on the size of files stands for the full disk: no file may grow beyond it, as on a disk without room.
CROWDED = """
import resource, signal, sys
from pathlib import Path
from problems_for_tests import Knapsack12
import emoprune
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
for _ in emoprune.search(%r, problem=Knapsack12(noise=0.05), runs=Path(sys.argv[1]), name="full"):
    pass
"""


@pytest.mark.parametrize("room", [12_000, 14_500, 17_000])
def test_a_search_on_a_full_disk_says_so_and_resumes_to_the_same_when_there_is_room(tmp_path: Path, room: int) -> None:
    whole = emoprune.search(SETTINGS, problem=Knapsack12(noise=0.05), runs=tmp_path, name="whole")
    for _ in whole:
        pass
    done = subprocess.run(
        [sys.executable, "-c", CROWDED % SETTINGS, str(tmp_path), str(room)],
        cwd=Path(__file__).parents[1] / "support",
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 1
    assert "the disk is full; free at least 0.1 MB, better some times as much, and resume the run" in done.stderr
    before = Run(tmp_path / "full").history
    assert 0 < len(before) < 60
    for _ in emoprune.resume(tmp_path / "full", problem=Knapsack12(noise=0.05)):
        pass
    run, ran = Run(tmp_path / "full"), ["worker", "seconds", "attempts"]
    pd.testing.assert_frame_equal(whole.run.history.drop(columns=ran), run.history.drop(columns=ran))
    kept = run.history[run.history["candidate"].isin(before["candidate"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(before, kept)  # with their seconds: nothing finished was paid again
