"""What is measured of a narrowed transformer, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emoprune.errors import ConfigError
from emoprune.problems.networks.evaluation.measures import Given, Measures
from emoprune.problems.networks.evaluation.objectives.contract import COUNTS, NETWORK, Seen, needs
from emoprune.problems.networks.transformers.cost import CACHE
from emoprune.problems.networks.transformers.data.batches import Batch
from emoprune.problems.networks.transformers.tasks.contract import Task

__all__ = ["SeenTransformer", "measures_of"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SeenTransformer(Seen):
    """A pruned transformer on one part of the data, as measures see it that need the network.

    Its outputs are kept nowhere: `seen.task.outputs(seen.network, batch)` computes those of one of `seen.batches`.

    Args:
        task: Runs models on batches, and knows their loss.
        batches: Those of the part, on the model's device.
        part: search, select or test; test for other data.
        tokenizer: The model's; None if it has none.
    """

    task: Task
    batches: Sequence[Batch]
    part: str = "test"
    tokenizer: Any = None


def measures_of(
    problem: str,
    objectives: Sequence[Given],
    at_most: Mapping[str, float],
    unpruned: Mapping[str, float],
    scored: Sequence[str],
) -> Measures:
    """Return the measures that a config names.

    Args:
        problem: The name of the problem that asks.
        objectives: By name or import target, or mappings of that and options.
        at_most: Bounds by the names of measures, or as `<measure>-share` in shares of the unpruned model.
        unpruned: The unpruned model's macs, parameters and bytes.
        scored: The measures of outputs that the task computes; there are no others.

    Raises:
        ConfigError: There is no such measure, it does not serve the problem, or the task does not compute it.
    """
    found = Measures.of(objectives, at_most, unpruned, problem)
    if CACHE in found.needed and CACHE not in unpruned:
        raise ConfigError(
            f"objectives: {CACHE} is of models that write on from a text, which this task's model does not"
        )
    for name in sorted(found.needed):
        if name not in scored and needs(found.known[name]) not in (COUNTS, NETWORK):
            raise ConfigError(
                f"objectives: of outputs this task measures {', '.join(scored)}, not {name}; a measure of your own "
                f"says with `needs = {NETWORK!r}` that it runs the model itself"
            )
    return found
