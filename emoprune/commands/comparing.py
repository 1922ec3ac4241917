"""Several runs beside each other: their fronts, their hypervolumes by one common point, and what they differ in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.commands.config_differences import alike, differing, flat
from emoprune.contracts import Objective, as_minimised
from emoprune.errors import ConfigError
from emoprune.front import attainment, hypervolume
from emoprune.records import Split
from emoprune.run import Run
from emoprune.run.frames import reported_split

__all__ = ["Compared", "Comparison", "compare"]

FloatArray = NDArray[np.float64]

PREFIX = {Split.SEARCH: "obj.", Split.SELECT: "select.", Split.TEST: "test."}
CURVE = 200  # generations at most at which a hypervolume is computed
SURFACES = {"attained by one": 0.0, "attained by half": 0.5, "attained by all": 1.0}


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """One of the runs; lists of numbers are in natural signs.

    `group` numbers the runs that differ in nothing but chance and place. `front` has a row of objectives for each
    member; `evaluated`, `seconds` and `hypervolumes` are those after generations, the last on the search part.
    """

    name: str
    seed: int
    group: int
    state: str
    evaluations: int
    front: list[list[float]]
    unpruned: list[float] | None
    hypervolume: float
    best: list[float]
    evaluated: list[int]
    seconds: list[float]
    hypervolumes: list[float]


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Runs beside each other.

    `split` is the part of the data that the fronts are measured on; `point` the common reference point. `differing`
    holds each key of the configs that is not the same in all, with one value per run. `surfaces` are the fronts that
    one, half and all of a group's runs attain, by group and name; none where a group has one run.
    """

    objectives: tuple[Objective, ...]
    split: str
    point: Mapping[str, float]
    runs: Sequence[Compared]
    differing: Mapping[str, Sequence[Any]]
    surfaces: Mapping[int, Mapping[str, list[list[float]]]]
    notes: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        plain = [{"name": each.name, "unit": each.unit, "direction": each.direction.value} for each in self.objectives]
        groups = {str(group): dict(found) for group, found in self.surfaces.items()}
        return {
            "objectives": plain,
            "split": self.split,
            "reference_point": dict(self.point),
            "runs": [asdict(run) for run in self.runs],
            "differing": {key: list(values) for key, values in self.differing.items()},
            "surfaces": groups,
            "notes": list(self.notes),
        }


def compare(runs: Sequence[Run]) -> Comparison:
    """Hold runs of one problem and the same objectives beside each other.

    The reference point is in every objective the worst of the runs' own, so that a hypervolume is that of no single
    run; the fronts are measured on `test` if all of them are, else on `select` or the search part.

    Raises:
        ConfigError: There are fewer than two, one is named twice, or they are of different problems or objectives.
    """
    if len(runs) < 2:
        raise ConfigError(f"expected at least two runs to compare, found {len(runs)}; name another one")
    places = [run.path.resolve() for run in runs]
    twice = [run.name for place, run in enumerate(runs) if places[place] in places[:place]]
    if twice:
        raise ConfigError(f"expected runs of which each is another one, found {twice[0]} twice; name it once")
    _check_alike(runs)
    objectives = tuple(runs[0].objectives)
    split = _common_split(runs)
    point = np.max([as_minimised(_point(run)[None, :], objectives)[0] for run in runs], axis=0)
    configs = [flat(run.config) for run in runs]
    found = [_compared(run, group, split, point) for run, group in zip(runs, alike(configs), strict=True)]
    natural = as_minimised(point[None, :], objectives)[0].tolist()
    names = [each.name for each in objectives]
    return Comparison(
        objectives,
        split.value,
        dict(zip(names, natural, strict=True)),
        found,
        differing(configs),
        _surfaces(found, objectives),
        _notes(found, names, split),
    )


def _check_alike(runs: Sequence[Run]) -> None:
    first = runs[0]
    for other in runs[1:]:
        for what, own, theirs in (
            ("problems", first.manifest["problem"], other.manifest["problem"]),
            ("objectives", _said(first.objectives), _said(other.objectives)),
        ):
            if own != theirs:
                raise ConfigError(
                    f"expected runs of the same {what}, found {own} in {first.name} and {theirs} in {other.name}; "
                    "their numbers do not mean the same"
                )


def _said(objectives: Sequence[Objective]) -> str:
    return ", ".join(
        f"{each.direction.value} {each.name}" + (f" ({each.unit})" if each.unit else "") for each in objectives
    )


def _point(run: Run) -> FloatArray:
    point = run.manifest.get("reference_point")
    if point is None:
        raise ConfigError(f"run {run.name} has measured too little to be compared; let it finish a generation")
    return np.array([point[each.name] for each in run.objectives], dtype=np.float64)


def _common_split(runs: Sequence[Run]) -> Split:
    frames = [run.pareto for run in runs]
    if all(reported_split(frame) is Split.TEST for frame in frames):
        return Split.TEST
    chosen = all(frame.loc[frame["rank"] == 1, "select.status"].ne("").all() for frame in frames)
    return Split.SELECT if chosen else Split.SEARCH


def _compared(run: Run, group: int, split: Split, point: FloatArray) -> Compared:
    objectives, frame = tuple(run.objectives), run.pareto
    columns = [f"{PREFIX[split]}{each.name}" for each in objectives]
    members = frame[frame["rank"].eq(1).fillna(value=False)]
    values = members[columns].to_numpy(dtype=np.float64)
    values = values[np.isfinite(values).all(axis=1)]
    minimised = as_minimised(values, objectives)
    unpruned = frame.loc[frame["candidate_id"].eq(next(iter(run.references), -1)), columns].to_numpy(dtype=np.float64)
    best = as_minimised(minimised.min(axis=0)[None, :], objectives)[0].tolist() if len(values) else []
    evaluated, seconds, volumes = _curve(run, point)
    return Compared(
        run.name,
        int(run.manifest["seed"]),
        group,
        run.progress.state.value,
        run.progress.evaluated,
        values.tolist(),
        unpruned[0].tolist() if len(unpruned) and np.isfinite(unpruned).all() else None,
        hypervolume(minimised, point),
        best,
        evaluated,
        seconds,
        volumes,
    )


def _curve(run: Run, point: FloatArray) -> tuple[list[int], list[float], list[float]]:
    """Return evaluations, seconds and hypervolume after generations, evenly chosen where there are many."""
    generations, objectives = run.generations, tuple(run.objectives)
    if len(generations) > CURVE:
        rows = np.unique(np.linspace(0, len(generations) - 1, CURVE).round().astype(int))
        generations = generations.iloc[rows]
    columns = [f"obj.{each.name}" for each in objectives]
    history = run.history.set_index("candidate")[columns]
    volumes = [
        hypervolume(as_minimised(history.loc[list(front)].to_numpy(dtype=np.float64), objectives), point)
        for front in generations["front"]
    ]
    return generations["evaluated"].tolist(), generations["seconds"].tolist(), volumes


def _surfaces(found: Sequence[Compared], objectives: Sequence[Objective]) -> dict[int, dict[str, list[list[float]]]]:
    surfaces: dict[int, dict[str, list[list[float]]]] = {}
    if len(objectives) != 2:
        return surfaces
    for group in dict.fromkeys(each.group for each in found):
        fronts = [
            as_minimised(np.array(each.front), objectives) for each in found if each.group == group and each.front
        ]
        if len(fronts) > 1:
            levels = attainment(fronts, list(SURFACES.values()))
            surfaces[group] = {
                name: as_minimised(level, objectives).tolist() for name, level in zip(SURFACES, levels, strict=True)
            }
    return surfaces


def _notes(found: Sequence[Compared], names: Sequence[str], split: Split) -> list[str]:
    """Say what makes a comparison doubtful."""
    notes = []
    known = [each for each in found if each.unpruned is not None]
    apart = [
        place for place, _ in enumerate(names) if len({each.unpruned[place] for each in known if each.unpruned}) > 1
    ]
    for place in apart:
        values = ", ".join(f"{each.unpruned[place]:.6g} in {each.name}" for each in known if each.unpruned)
        notes.append(
            f"The unpruned thing has {names[place]} {values} on {split.value}: it, or the data, is not the same."
        )
    going = [each.name for each in found if each.state != "finished"]
    if going:
        notes.append(f"Not finished: {', '.join(going)}.")
    if split is Split.SEARCH:
        notes.append("These are the numbers the searches saw; not all runs were measured on select or test.")
    return notes
