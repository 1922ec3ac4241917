"""What the page says of the stages that a search was made of, if it was: their fronts, and what led from them to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from emoprune.contracts import Inspection
from emoprune.errors import ContractError, RunCorrupt
from emoprune.records import Split
from emoprune.report.page_table import TableShown, table_shown
from emoprune.report.ranking import COLUMN_PREFIX, Ranking
from emoprune.report.readable import ReadableRun
from emoprune.report.wording import plain
from emoprune.run.reading import is_sealed, read_object

__all__ = ["StagesShown", "stage_plots", "stages_shown"]


@dataclass(frozen=True, slots=True)
class StagesShown:
    """The stages as the page writes them: `stages` are (name, where it stands, its folder)."""

    stages: list[tuple[str, str, str]]
    tables: list[TableShown]
    notes: list[str]


def stages_shown(run: ReadableRun) -> StagesShown | None:
    """Return what is to be said of the run's stages in words; None if it has none.

    Raises:
        RunCorrupt: stages.json does not say what it should.
    """
    path = run.path / "stages.json"
    if not run.stages:
        return None
    found = read_object(run.path, path.name, sealed=is_sealed(run.manifest))
    try:
        said = Inspection({}, found["tables"], found["notes"])
    except (KeyError, TypeError, AttributeError, ContractError) as error:
        raise RunCorrupt(f"{path}: expected what the stages led to, found {error!r}; resume the run") from error
    words = run.progress.stages
    return StagesShown(
        [(plain(name), plain(words.get(name, "not begun"), 400), f"stages/{plain(name)}/") for name in run.stages],
        [table_shown(plain(title), rows) for title, rows in said.tables.items() if rows],
        [plain(note, 2_000) for note in said.notes],
    )


def stage_plots(run: ReadableRun, ranking: Ranking) -> dict[str, Any] | None:
    """Return the fronts of the stages that have the run's objectives, and what the search began with and ended with.

    All of them as measured on `select` if all were, else on `search`; each front rises along the last objective.
    """
    names = [objective.name for objective in ranking.objectives]
    alike = {name: stage for name, stage in run.stages.items() if [each.name for each in stage.objectives] == names}
    if not alike or not names:
        return None
    fronts = {name: stage.pareto[stage.pareto["rank"] == 1] for name, stage in alike.items()}
    own = run.pareto
    joint = own[own["rank"] == 1]
    again = all(_measured(each, Split.SELECT, names) for each in (*fronts.values(), joint))
    split = Split.SELECT if again else Split.SEARCH
    history = run.history
    starts = history[(history["origin"] == "start") & (history["status"] == "ok")]
    return {
        "split": split.value,
        "fronts": [{"name": plain(name, 40), **_line(front, split, names)} for name, front in fronts.items()],
        "starts": _line(starts, Split.SEARCH, names),
        "joint": _line(joint, split, names),
    }


def _measured(frame: pd.DataFrame, split: Split, names: Sequence[str]) -> bool:
    columns = [f"{COLUMN_PREFIX[split]}.{name}" for name in names]
    return bool(np.isfinite(frame[columns].to_numpy(dtype=np.float64)).all())


def _line(frame: pd.DataFrame, split: Split, names: Sequence[str]) -> dict[str, Any]:
    columns = [f"{COLUMN_PREFIX[split]}.{name}" for name in names]
    ordered = frame.sort_values(columns[::-1], kind="stable")
    ids = ordered["candidate_id" if "candidate_id" in ordered else "candidate"]
    return {"ids": ids.tolist(), "values": [ordered[column].tolist() for column in columns]}
