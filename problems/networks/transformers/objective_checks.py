"""What an objective of transformers is checked for by itself, as one of networks with channels is."""

from __future__ import annotations

from collections.abc import Callable

from emoprune.contracts import Measure
from emoprune.problems.networks.evaluation.objectives.checks import COUNTS, TIMING, check_measure
from emoprune.problems.networks.evaluation.objectives.contract import NETWORK, Built, Seen, needs
from emoprune.problems.networks.transformers.criteria.samples import sample_evidences
from emoprune.problems.networks.transformers.measures import SeenTransformer

__all__ = ["check_objective"]


def check_objective(make: Callable[[], Measure[Seen]]) -> None:
    """Check that an objective of a transformer is the same number each time, and changes nothing.

    Those of outputs, which the task computes, are not called with a transformer.

    Args:
        make: Returns a new one.

    Raises:
        ContractError: A promise is broken; it says what was expected and what was found.
    """
    if needs(make()) != NETWORK:
        return
    evidence = sample_evidences()[0]
    model = evidence.model.float()
    built = Built(model, lambda: model, lambda: TIMING)
    seen = SeenTransformer(COUNTS, built=built, task=evidence.task, batches=evidence.calibration)
    tensors = {f"{name} of batch {n}": own for n, each in enumerate(seen.batches) for name, own in each.inputs.items()}
    check_measure(make, seen, tensors)
