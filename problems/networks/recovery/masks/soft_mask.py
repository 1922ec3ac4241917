"""A recovery that trains weights under a soft mask until exactly as much stays as of the candidate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from emoprune import plugins
from emoprune.contracts import about
from emoprune.errors import ConfigError
from emoprune.problems.networks.recovery.masks.contract import SoftMask

__all__ = ["SoftMasked"]

SERVES = ("channels", "weight-ratios", "heads-and-neurons", "transformer-weight-ratios")


class UnderMasks(Protocol):
    """A pruned network or transformer that can be trained under masks."""

    def under_masks(self, mask: SoftMask, hard: float, by: str) -> Any:
        """Return what became of it, as a recovery returns it."""
        ...


@about(
    "recovery",
    ["weights", "channels", "heads", "neurons"],
    serves=SERVES,
    gradients=True,
    training=True,
    cost="the epochs that it is given over the training part, and what the mask takes at each step",
)
@dataclass(frozen=True, slots=True)
class SoftMasked:
    """Trains the unpruned network under a mask that hardens, as much of each layer or group as the candidate keeps.

    Which weights or units stay, the mask decides.

    Args:
        mask: pdp, transport, hard-concrete, edge-popup, another one of `emoprune list masks`, or a mapping of a name
            and options.
        hard: The share of the epochs that is trained after the mask has become hard.

    Raises:
        ConfigError: There is no such mask, or the share is none.
    """

    mask: str | Mapping[str, Any] = "pdp"
    hard: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.hard < 1:
            raise ConfigError(f"hard: expected a share of the epochs between 0 and 1, found {self.hard}")
        self._made()

    def _made(self) -> SoftMask:
        # A mask acts on tensors, whatever problem they belong to, and serves all that this recovery serves.
        made: SoftMask = plugins.method("mask", self.mask, SERVES[0])
        return made

    def __call__(self, case: UnderMasks) -> Any:
        """Return the recovered network with its weights that were best on select once the mask was hard."""
        return case.under_masks(self._made(), self.hard, "soft-mask")
