"""A run as a study of Optuna's, for optuna-dashboard and whatever else reads its storage."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from emoprune.contracts import Direction, violations
from emoprune.errors import ConfigError
from emoprune.records import Evaluation, Split, table
from emoprune.run import Run
from emoprune.storage import guarded

if TYPE_CHECKING:
    import optuna

__all__ = ["export_study"]

DIRECTIONS: Mapping[Direction, Literal["minimize", "maximize"]] = {
    Direction.MINIMISE: "minimize",
    Direction.MAXIMISE: "maximize",
}
AT_ONCE = 1_000  # trials that are written in one transaction
CONSTRAINTS = "constraints"  # where Optuna's samplers and its dashboard look for them


def export_study(run: Run, path: Path) -> int:
    """Write everything that a run evaluated as a study into a new SQLite file; return how many trials it has.

    Genes are integer parameters, objectives values in natural signs with their directions, bounds Optuna's constraints
    (at most 0 where they hold). What failed is a failed trial. User attributes hold candidate, generation, origin,
    parents, the reference's name, whether it is on the front, and what was measured again on select and test.

    Raises:
        ConfigError: Optuna is not installed, the file is there already, or nothing was evaluated yet.
        StorageError: It cannot be written.
    """
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(
            f"a study needs optuna, which cannot be imported ({error}); install it with: pip install 'emoprune[optuna]'"
        ) from error
    if path.exists():
        raise ConfigError(f"{path} is there already; name another file, or remove it")
    evaluations = run.evaluations()
    if not evaluations:
        raise ConfigError(f"run {run.name} has evaluated nothing yet; let it search on")
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with guarded(path):
            partial.write_bytes(b"")  # what the folder refuses is said before SQLite hides it
            # Not by a URL, in which `?` and `#` of a name would mean something.
            engine = {"creator": lambda: sqlite3.connect(partial)}
            storage = optuna.storages.RDBStorage("sqlite://", engine_kwargs=engine)
            study = optuna.create_study(
                storage=storage, study_name=run.name, directions=[DIRECTIONS[each.direction] for each in run.objectives]
            )
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore", optuna.exceptions.ExperimentalWarning
                )  # since 3.2, and the tests read them
                study.set_metric_names([each.name for each in run.objectives])
            trials = list(_trials(run, evaluations, optuna))
            for start in range(0, len(trials), AT_ONCE):
                study.add_trials(trials[start : start + AT_ONCE])
            storage.engine.dispose()
            partial.replace(path)
    finally:
        optuna.logging.set_verbosity(before)
        partial.unlink(missing_ok=True)
    return len(evaluations)


def _trials(run: Run, evaluations: list[Evaluation], library: Any) -> Iterator[optuna.trial.FrozenTrial]:
    genes = run.manifest["genes"]
    distributions = {gene["name"]: library.distributions.IntDistribution(0, gene["levels"] - 1) for gene in genes}
    objectives, constraints = run.objectives, run.constraints
    names = [each.name for each in objectives]
    limits = violations(table(evaluations, [each.name for each in constraints]), constraints)
    again, references = run.remeasured(), run.references
    front = run.pareto
    on_front = set(front.loc[front["rank"].eq(1).fillna(value=False), "candidate_id"])
    for evaluation, missed in zip(evaluations, limits, strict=True):
        candidate = evaluation.candidate
        attributes: dict[str, Any] = {
            "candidate": candidate.id,
            "generation": candidate.generation,
            "origin": candidate.origin,
            "parents": list(candidate.parents),
            "reference": references.get(candidate.id, ""),
            "on the front": candidate.id in on_front,
            **_measured_again(candidate.id, again, names),
        }
        if evaluation.reason:
            attributes["reason"] = evaluation.reason
        kept = np.nan_to_num(missed, nan=np.inf).tolist()
        yield library.trial.create_trial(
            state=library.trial.TrialState.COMPLETE if evaluation.ok else library.trial.TrialState.FAIL,
            params=dict(zip(distributions, candidate.genome.tolist(), strict=True)),
            distributions=distributions,
            values=[evaluation.values[name] for name in names] if evaluation.ok else None,
            user_attrs=attributes,
            system_attrs={CONSTRAINTS: kept} if constraints and evaluation.ok else {},
        )


def _measured_again(number: int, again: Mapping[tuple[int, Split], Evaluation], names: list[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for split in (Split.SELECT, Split.TEST):
        evaluation = again.get((number, split))
        if evaluation is not None and evaluation.ok:
            found |= {f"{split.value}.{name}": evaluation.values[name] for name in names}
    return found
