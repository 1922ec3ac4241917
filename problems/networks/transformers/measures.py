"""What can be measured of a narrowed transformer, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emoprune.problems.networks.evaluation.measures import MEASURES, Measures

__all__ = ["measures_of"]

_SCORED = {
    "perplexity": "e to the mean loss of the next token",
    "loss": "mean loss in nats",
    "error": "share of examples, or next tokens, whose highest output is another one",
    "kl": MEASURES["kl"],
}
_COUNTED = {
    "macs": "multiply-accumulates for one example, attention over all its tokens counted",
    "parameters": MEASURES["parameters"],
    "bytes": "bytes of all weights as stored",
    "milliseconds": "median time for one batch on the worker's threads",
}


def measures_of(
    objectives: Sequence[str], at_most: Mapping[str, float], unpruned: Mapping[str, float], scored: Sequence[str]
) -> Measures:
    """Return the measures of a task that is scored by some of them, checked."""
    known = {name: _SCORED[name] for name in scored} | _COUNTED
    return Measures(tuple(objectives), dict(at_most), unpruned, known)
