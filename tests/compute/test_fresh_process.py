"""A script of our own in a process of its own: asked by files, answering by one, with nothing of this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emoprune.errors import ContractError
from emoprune.problems.compute.fresh_process import run_script

ANSWERING = """
import json, sys
from pathlib import Path
asked = json.loads(Path(sys.argv[1]).read_text())
answer = {**asked, "inputs": Path(asked["inputs"]).read_text(), "there": sorted(map(str, Path().iterdir()))}
Path(sys.argv[2]).write_text(json.dumps(answer))
"""


def ran(folder: Path, code: str, seconds: float = 60) -> dict[str, Any]:
    (folder / "script.py").write_text(code, encoding="utf-8")

    def write_inputs(path: Path) -> None:
        path.write_text("numbers", encoding="utf-8")

    return run_script(folder / "script.py", {"two": 2}, write_inputs, seconds)


def test_a_script_is_asked_with_inputs_in_an_empty_folder_and_answers(tmp_path: Path) -> None:
    assert ran(tmp_path, ANSWERING) == {"two": 2, "inputs": "numbers", "there": ["asked.json", "inputs"]}


def test_what_lies_beside_a_script_cannot_be_imported(tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").touch()
    with pytest.raises(ContractError, match=r"(?s)a fresh process .* cannot load it: .*No module named 'neighbour'"):
        ran(tmp_path, "import neighbour")


def test_a_script_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="the fresh process did not answer within 0 s; try again"):
        ran(tmp_path, "import time; time.sleep(60)", seconds=0.2)
