"""What a session knows from its run: what the search had seen at a checkpoint, and what is paid for already."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from emoprune.contracts import Blocks, Problem
from emoprune.contracts.algorithm import Measured
from emoprune.errors import RunCorrupt
from emoprune.evaluation.evaluator import Evaluator
from emoprune.evolution.archive import Archive
from emoprune.records import Evaluation
from emoprune.run import Run

__all__ = ["recalling", "replayed"]


def recalling(
    problem: Problem, seed: int, known: Sequence[Evaluation], stage: str | None, blocks: Blocks | None
) -> Evaluator:
    """Return an evaluator that pays for nothing that is `known`."""
    genomes = np.array([each.candidate.genome for each in known], dtype=np.int64)
    keys = problem.space.keys(genomes.reshape(len(known), -1)) if known else []
    recalled = {(key, each.split, each.begun): each for key, each in zip(keys, known, strict=True)}
    return Evaluator(problem, seed, recalled, stage, blocks)


def replayed(
    problem: Problem, run: Run, body: Mapping[str, Any], finished: Sequence[Evaluation]
) -> tuple[Archive, Measured]:
    """Return what the search had seen at a checkpoint, and what its algorithm was told.

    Args:
        problem: Prepared.
        run: Whose checkpoint it is.
        body: The checkpoint's.
        finished: What the history has of the candidates that it counts, by candidate.

    Raises:
        RunCorrupt: The history is not the one that the checkpoint was written with.
    """
    until = body["evolution"]["next_id"]
    if len(finished) != until:
        raise RunCorrupt(
            f"the last checkpoint of {run.name} counts {until} candidates, history.jsonl holds {len(finished)} of "
            "them; restore the history from a copy, or let `emoprune doctor RUN --repair` make one that measures them "
            "again"
        )
    archive = Archive(tuple(problem.objectives), run.constraints, len(problem.space), run.blocks)
    by_generation = itertools.groupby(finished, key=lambda each: each.candidate.generation)
    scored = [archive.add(evaluations) for _, evaluations in by_generation]
    if archive.digest != body["history_digest"]:
        raise RunCorrupt(
            f"history.jsonl of {run.name} was altered since its last checkpoint; restore it from a copy, or let "
            "`emoprune doctor RUN --repair` make one that goes by it as it is now"
        )
    genomes = np.array([each.candidate.genome for each in finished])
    told = [Measured(each.ids, genomes[each.ids], each.objectives, each.violation, each.noise) for each in scored]
    return archive, Measured.joined(told)
