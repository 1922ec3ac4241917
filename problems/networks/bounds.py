"""What a pruned network may at most cost or get wrong to be of any use."""

from __future__ import annotations

from dataclasses import dataclass

from emoprune.contracts import Constraint
from emoprune.errors import ConfigError

__all__ = ["Bounds"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds on the share of wrong images and on the share of the unpruned cost; None is no bound."""

    max_error: float | None
    max_cost: float | None

    def __post_init__(self) -> None:
        for name, bound in (("max_error", self.max_error), ("max_cost", self.max_cost)):
            if bound is not None and not 0 < bound <= 1:
                raise ConfigError(f"{name}: expected a share above 0 and at most 1, found {bound}")

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """The bounds that there are, as constraints."""
        made = []
        if self.max_error is not None:
            made.append(Constraint("error-share", self.max_error, "of images"))
        if self.max_cost is not None:
            made.append(Constraint("cost-share", self.max_cost, "of unpruned"))
        return tuple(made)

    def values(self, error: float, cost: float) -> list[float]:
        """Return what the constraints are held against, in their order."""
        pairs = ((self.max_error, error), (self.max_cost, cost))
        return [value for bound, value in pairs if bound is not None]
