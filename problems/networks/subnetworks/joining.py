"""From the fronts of the parts to the choices among them: members, their ranking, schemes, references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from emoprune.contracts import as_minimised
from emoprune.contracts.stages import Concluded
from emoprune.errors import ConfigError
from emoprune.front import non_dominated
from emoprune.problems.networks.evaluation.measures import COUNTED, Measures
from emoprune.problems.networks.subnetworks.choices import Choices, Member
from emoprune.problems.networks.subnetworks.impairment import even_schemes, ranked, schemes
from emoprune.problems.networks.subnetworks.part import PartProblem
from emoprune.problems.networks.task import NetworkTask
from emoprune.space import IntArray

__all__ = ["check_objectives", "joined"]

SHARES = tuple(tenths / 10 for tenths in range(1, 11))

Row = Mapping[str, str | int | float | None]


def check_objectives(measures: Measures) -> None:
    """Refuse objectives among which no impairment, or no saving, could be read.

    Raises:
        ConfigError: With what is needed.
    """
    saving = set(COUNTED) & set(measures.objective_names)
    for there, needed in ((measures.quality, "error, loss, kl"), (saving, ", ".join(COUNTED))):
        if not there:
            raise ConfigError(
                f"objectives: expected one of {needed} among them, found "
                f"{', '.join(measures.objective_names)}; parts are ranked by what they cost and what they save"
            )


def joined(parts: Sequence[PartProblem], concluded: Mapping[str, Concluded], *, free_at_last: bool = False) -> Choices:
    """Return what there is to choose from; `free_at_last` says that a search of every gene follows.

    A member is what is on its part's front by its `select` values; the unpruned part, and the part of each reference,
    are members too. A part that failed has the unpruned one alone.
    """
    measured = [_measured(part, concluded[part.part.name]) for part in parts]
    members = tuple(own for own, _ in measured)
    fronts = [on_front for _, on_front in measured]
    ranking = _ranking(members, fronts)
    savings = [np.array([member.saving for member in own]) for own in members]
    unpruned = np.array([len(own) - 1 for own in members], dtype=np.int64)
    names = tuple(part.part.name for part in parts)
    return Choices(
        names,
        tuple(part.part.groups for part in parts),
        members,
        _references(parts, members, unpruned),
        _each_once(np.concatenate([schemes(ranking, savings, unpruned), even_schemes(savings, SHARES)])),
        {"impairment ranking": _table(names, members, ranking)},
        tuple(_notes(concluded, "is pruned by the last search alone" if free_at_last else "stays unpruned")),
    )


def _each_once(genomes: IntArray) -> IntArray:
    """Return the different rows in their order."""
    _, first = np.unique(genomes, axis=0, return_index=True)
    return np.asarray(genomes[np.sort(first)])


def _measured(part: PartProblem, found: Concluded) -> tuple[tuple[Member, ...], IntArray]:
    """Return the members of a part, small ones first and the unpruned one last, and which of them are on its front."""
    quality, cost = _columns(part.task)
    unpruned = part.space.key(part.space.full)
    keys = part.space.keys(found.genomes)
    ok = np.asarray(np.isfinite(found.select).all(axis=1))
    if unpruned not in keys or not ok[keys.index(unpruned)]:
        return (Member("unpruned", part.genes.kept(part.space.full), 0.0, 0.0),), np.zeros(0, dtype=np.int64)
    values = as_minimised(found.select, part.objectives)[:, [quality, cost]]
    base = values[keys.index(unpruned)]
    best = set(np.flatnonzero(ok)[np.flatnonzero(non_dominated(values[ok]))].tolist())
    wanted = {part.space.key(reference.genome) for reference in part.references()}
    rows = [row for row, key in enumerate(keys) if ok[row] and (row in best or key in wanted) and key != unpruned]
    rows.sort(key=lambda row: (values[row, 1], -values[row, 0], row))
    rows.append(keys.index(unpruned))
    made = tuple(
        Member(
            found.named[row] or f"candidate {found.ids[row]}",
            part.genes.kept(found.genomes[row]),
            float(values[row, 0] - base[0]),
            float(1 - values[row, 1] / base[1]),
        )
        for row in rows
    )
    return made, np.array([place for place, row in enumerate(rows) if row in best], dtype=np.int64)


def _columns(task: NetworkTask) -> tuple[int, int]:
    """Return which objectives say how good a network is and what it costs."""
    names = task.measures.objective_names
    return (
        names.index(task.quality.name),
        next(column for column, name in enumerate(names) if name in COUNTED),
    )


def _ranking(members: Sequence[Sequence[Member]], fronts: Sequence[IntArray]) -> IntArray:
    """Return part and member of everything that is on a front, by the impairment that it brings."""
    impairments = [
        np.array([own[place].impairment for place in on_front]) for own, on_front in zip(members, fronts, strict=True)
    ]
    savings = [
        np.array([own[place].saving for place in on_front]) for own, on_front in zip(members, fronts, strict=True)
    ]
    found = ranked(impairments, savings)
    for row, (part, place) in enumerate(found.tolist()):
        found[row, 1] = fronts[part][place]
    return found


def _references(
    parts: Sequence[PartProblem], members: Sequence[Sequence[Member]], unpruned: IntArray
) -> dict[str, IntArray]:
    """Return the joint genomes of the unpruned network and of those references all of whose parts were measured."""
    found = {"unpruned": unpruned}
    places = [{_units_key(member.kept): place for place, member in enumerate(own)} for own in members]
    for name, widths in parts[0].named.items():
        keys = [_units_key(part.genes.kept(part.of_widths(widths))) for part in parts]
        if all(key in own for key, own in zip(keys, places, strict=True)):
            found[name] = np.array([own[key] for key, own in zip(keys, places, strict=True)], dtype=np.int64)
    return found


def _units_key(kept: Sequence[IntArray]) -> tuple[bytes, ...]:
    return tuple(units.tobytes() for units in kept)


def _table(names: Sequence[str], members: Sequence[Sequence[Member]], ranking: IntArray) -> list[Row]:
    return [
        {
            "rank": rank,
            "part": names[part],
            "member": members[part][place].name,
            "impairment": members[part][place].impairment,
            "saves": round(members[part][place].saving, 4),
        }
        for rank, (part, place) in enumerate(ranking.tolist(), start=1)
    ]


def _notes(concluded: Mapping[str, Concluded], what_follows: str) -> list[str]:
    failed = {name: own.failed for name, own in concluded.items() if own.failed}
    return [f"{name} {what_follows}, because its search failed: {reason}" for name, reason in failed.items()]
