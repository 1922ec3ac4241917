"""Optuna's journal with a meter around what touches the file."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from engines.optuna_nsga2 import trial
from optuna.storages.journal import JournalFileBackend

from shared.judging import Stopwatch
from shared.landscapes import Landscape
from shared.meters import Meter

__all__ = ["journalled"]


class TimedJournal(JournalFileBackend):
    """A journal that measures its reads and appends; replaying what was read is not counted."""

    def __init__(self, file_path: str) -> None:
        super().__init__(file_path)
        self.meter = Meter()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append, on the clock."""
        with self.meter:
            super().append_logs(logs)

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Read all that is new, on the clock."""
        with self.meter:
            found = list(super().read_logs(log_number_from))
        yield from found


def journalled(landscape: Landscape, folder: Path, trials: int, *, asked: bool) -> dict[str, float]:
    """Write trials of random genomes into a journal in `folder`; return the seconds in the file and its bytes.

    `asked` trials are asked for, given a parameter per gene and told, as a search does it; the others are added when
    they are finished.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    journal = TimedJournal(str(folder / "journal.log"))
    study = optuna.create_study(
        directions=["minimize"] * len(landscape.worst),
        storage=optuna.storages.JournalStorage(journal),
        sampler=optuna.samplers.RandomSampler(seed=1),
    )
    judge, rng = Stopwatch(landscape), np.random.default_rng(1)
    journal.meter = Meter()
    for _ in range(trials):
        if asked:
            trial(study, landscape.genes, judge)
        else:
            study.add_trial(_finished(rng.integers(0, 2, landscape.genes).tolist(), judge))
    written = (folder / "journal.log").stat().st_size
    return {"record_wall": journal.meter.wall, "record_cpu": journal.meter.cpu, "bytes": written}


def _finished(genome: list[int], judge: Stopwatch) -> optuna.trial.FrozenTrial:
    bit = optuna.distributions.IntDistribution(0, 1)
    names = [f"gene{i}" for i in range(len(genome))]
    return optuna.trial.create_trial(
        params=dict(zip(names, genome, strict=True)),
        distributions=dict.fromkeys(names, bit),
        values=judge.scores([genome])[0].tolist(),
    )
