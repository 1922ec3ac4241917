"""Reading what was measured: each line of a journal held against what every evaluation of the run has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from emoprune.contracts import Blocks
from emoprune.errors import RunCorrupt
from emoprune.records import Evaluation, Split, seed_for
from emoprune.run.contents import MEND, SEARCHED
from emoprune.run.reading import blocks_in, constraints_in, mended_by, objectives_in, parsed_record, space_in
from emoprune.space import Space
from emoprune.storage import finished_lines

__all__ = ["Measures", "joined", "parsed_evaluation", "read_evaluations", "read_pieces"]


@dataclass(frozen=True, slots=True)
class Measures:
    """What every evaluation of a run has: values under `names`, a genome of the `space`, the `seed` that follows.

    None stands for what is not known. `genomes` are those of the candidates in the history, for what was measured of
    them again.
    """

    names: frozenset[str] | None
    space: Space | None
    seed: int = 0
    blocks: Blocks | None = None
    genomes: Mapping[int, Sequence[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Measures:
        """Return what a manifest says of it, which is little while the problem is still being prepared."""
        names = [objective.name for objective in objectives_in(manifest)]
        names += [constraint.name for constraint in constraints_in(manifest)]
        return cls(frozenset(names) or None, space_in(manifest), manifest["seed"], blocks_in(manifest))

    def again(self, searched: Sequence[Evaluation]) -> Measures:
        """Return what every evaluation has that measures again one of these."""
        return replace(self, genomes={each.candidate.id: each.candidate.genome.tolist() for each in searched})

    def check(self, evaluation: Evaluation) -> None:
        """Refuse an evaluation of another problem, or of another run's candidate.

        Raises:
            RunCorrupt: Its values or its genome do not fit.
        """
        if self.names is not None and evaluation.ok and evaluation.values.keys() != self.names:
            found = ", ".join(evaluation.values)
            raise RunCorrupt(f"values: expected {', '.join(sorted(self.names))}, found {found}")
        self._check_blocks(evaluation)
        genome = evaluation.candidate.genome.tolist()
        searched = self.genomes.get(evaluation.candidate.id, genome)
        if genome != searched:
            raise RunCorrupt(
                f"genome: expected {searched}, which {SEARCHED} has for candidate {evaluation.candidate.id}, found "
                f"{genome}: this line is of another run"
            )
        if self.space is None:
            return
        if len(genome) != len(self.space):
            raise RunCorrupt(f"genome: expected {len(self.space)} genes, found {len(genome)}")
        if (evaluation.candidate.genome >= self.space.levels).any():
            raise RunCorrupt(f"genome: expected levels below {tuple(self.space.levels.tolist())}, found {genome}")

    def _check_blocks(self, evaluation: Evaluation) -> None:
        if self.names is None or not evaluation.ok:
            return
        noisy = () if self.blocks is None else self.blocks.noisy
        if set(evaluation.blocks) != set(noisy):
            raise RunCorrupt(f"blocks: expected those of {', '.join(noisy) or 'nothing'}, found {evaluation.blocks}")
        counts = {len(values) for values in evaluation.blocks.values()}
        total = 0 if self.blocks is None else len(self.blocks.all_of(evaluation.split))
        if len(counts) > 1 or 0 in counts or evaluation.begun + max(counts, default=0) > total:
            raise RunCorrupt(f"blocks: expected as many of each, at most {total} in all, found {evaluation.blocks}")

    def seeds(self, evaluations: Sequence[Evaluation]) -> list[int]:
        """Return the seed that each of these, which were checked, must have been measured with."""
        if self.space is None or not evaluations:
            return [each.seed for each in evaluations]
        keys = self.space.keys(np.stack([each.candidate.genome for each in evaluations]))
        return [seed_for(self.seed, key, each.split) for key, each in zip(keys, evaluations, strict=True)]


def read_evaluations(path: Path, measures: Measures, *, sealed: bool) -> list[Evaluation]:
    """Return what a journal holds of each candidate and split, by candidate; of several lines the first counts.

    Raises:
        RunCorrupt: A line is no evaluation of this run, or was altered.
    """
    last = {(each.candidate.id, each.split): each for each in read_pieces(path, measures, sealed=sealed)}
    return list(last.values())


def read_pieces(path: Path, measures: Measures, *, sealed: bool) -> list[Evaluation]:
    """Return what a journal holds of each candidate and split, by candidate, grade after grade where there are several.

    Raises:
        RunCorrupt: A line is no evaluation of this run, or was altered, or blocks before it are missing.
    """
    lines = enumerate(finished_lines(path), 1)
    everything = [_evaluation(path, position, line, measures, sealed=sealed) for position, line in lines]
    for position, (evaluation, seed) in enumerate(zip(everything, measures.seeds(everything), strict=True), 1):
        _check_seed(path, position, evaluation, seed)
    pieces, wrong = joined(dict(enumerate(everything, 1)))
    for position, words in wrong.items():
        raise RunCorrupt(f"{path}:{position}: {words}; {MEND}")
    return pieces


def joined(lines: Mapping[int, Evaluation]) -> tuple[list[Evaluation], dict[int, str]]:
    """Return what lines tell of each candidate and split, each piece with all blocks before it, by candidate.

    Args:
        lines: Evaluations by the number of their line; of several of one piece the first counts.

    Returns:
        The pieces, and what is wrong with which lines: those that go on behind blocks that no line has.
    """
    found: dict[tuple[int, Split, int], tuple[int, Evaluation]] = {}
    for number, each in lines.items():
        found.setdefault((each.candidate.id, each.split, each.begun), (number, each))
    pieces: list[Evaluation] = []
    wrong: dict[int, str] = {}
    for (candidate, split, begun), (number, each) in sorted(found.items(), key=lambda item: item[0]):
        goes_on = begun > 0 and bool(pieces) and (pieces[-1].candidate.id, pieces[-1].split) == (candidate, split)
        try:
            pieces.append(each.after(pieces[-1] if goes_on else None))
        except RunCorrupt as error:
            wrong[number] = str(error)
    return pieces, wrong


def parsed_evaluation(path: Path, position: int, line: bytes, measures: Measures, *, sealed: bool) -> Evaluation:
    """Return the evaluation in a line of a journal.

    Raises:
        RunCorrupt: It is none of this run, or was altered.
    """
    evaluation = _evaluation(path, position, line, measures, sealed=sealed)
    _check_seed(path, position, evaluation, *measures.seeds([evaluation]))
    return evaluation


def _evaluation(path: Path, position: int, line: bytes, measures: Measures, *, sealed: bool) -> Evaluation:
    plain = parsed_record(path, position, line, sealed=sealed)
    with mended_by(MEND, f"{path}:{position}: "):
        evaluation = Evaluation.from_json(plain)
        if (path.name == SEARCHED) is not (evaluation.split is Split.SEARCH):
            raise RunCorrupt(f"split: {evaluation.split.value} is not measured in this file")
        measures.check(evaluation)
    return evaluation


def _check_seed(path: Path, position: int, evaluation: Evaluation, seed: int) -> None:
    if evaluation.seed != seed:
        raise RunCorrupt(
            f"{path}:{position}: seed: expected {seed}, which follows from the run's seed and the genome, found "
            f"{evaluation.seed}: this line is of another run; {MEND}"
        )
