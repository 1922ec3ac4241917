"""What a compensation promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import torch
from numpy.typing import NDArray

from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.coupling.structure import Kept, Part

__all__ = ["Compensation", "Statistics"]

Statistics = Mapping[str, NDArray[Any]]  # plain arrays: computed once per run, sent to every worker


class Compensation(Protocol):
    """Changes the weights that stay so that the network loses less."""

    leaf: ClassVar[str]  # its place in the taxonomy of the surveys, as for criteria

    def statistics(self, evidence: Evidence) -> Statistics:
        """Return what `tensors` needs of the unpruned network, by names `<a part's path>.<what it is>`.

        Nothing of the evidence may be left changed; all randomness comes from its seed.
        """
        ...

    def tensors(
        self, part: Part, unpruned: Mapping[str, torch.Tensor], kept: Kept, statistics: Statistics
    ) -> Mapping[str, torch.Tensor]:
        """Return the changed tensors of one part in their sliced shapes, by full name; none where nothing changes.

        The result may depend on nothing but `unpruned` (the part's own full tensors), the kept units of the coupling
        groups on which the part lies, and the part's own statistics: candidates that agree in these share it.
        """
        ...
