"""Differentiable transportation: scores are moved to 0 or 1 at the least cost, exactly so many of them to 1."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.recovery.masks.contract import Own, largest

__all__ = ["Transport", "transported"]

HALVINGS = 64  # of an interval of 64-bit floats, to its last bit
LATE = 4  # the power of the progress along which the plan cools: slowly while much is still to be learnt


@about(
    "recovery",
    ["weights", "channels", "heads", "neurons"],
    serves=["channels", "weight-ratios", "heads-and-neurons", "transformer-weight-ratios"],
    papers=[Paper("Differentiable Transportation Pruning", "2307.08483")],
    gradients=True,
    training=True,
    cost="a score for each thing that is masked, and a bisection at each step",
)
@dataclass(frozen=True, slots=True)
class Transport:
    """Trained scores, transported to 0 and 1 by an entropic plan in closed form, which keeps so many at any time.

    The temperature falls until the plan is hard. Source: Li et al., Differentiable Transportation Pruning, arXiv
    2307.08483; the plan between so few targets is solved by bisection here, where the paper iterates.

    Args:
        temperature: Of the plan at the beginning.
        coldest: Of the plan at the end.
        rate: The highest learning rate of the scores.
        ramp: The share of the training after which the candidate's ratio is reached.

    Raises:
        ConfigError: One of them is out of range.
    """

    temperature: float = 0.5
    coldest: float = 1e-6
    rate: float = 0.03
    ramp: float = 0.5

    trains_weights = True

    def __post_init__(self) -> None:
        if not 0 < self.coldest <= self.temperature < float("inf") or not self.rate > 0 or not 0 < self.ramp <= 1:
            raise ConfigError(
                "temperature: expected a number above 0; coldest: one above 0 and not above it; rate: one above 0; "
                "ramp: a share of the training above 0, up to 1"
            )

    def begin(self, sizes: torch.Tensor) -> Own:
        """Return a score for each thing: its size in shares of the row's mean."""
        return {"scores": (sizes / sizes.mean(dim=-1, keepdim=True)).detach()}

    def soft(
        self,
        sizes: torch.Tensor,
        own: Own,
        keep: int,
        progress: float,
        generator: torch.Generator,  # noqa: ARG002  # the contract's
    ) -> torch.Tensor:
        """Return the plan at the ratio and the temperature that are due by now."""
        columns = sizes.shape[-1]
        due = columns - round((columns - keep) * min(1.0, progress / self.ramp))
        cold = self.temperature * (self.coldest / self.temperature) ** progress**LATE
        return transported(own["scores"], due, cold)

    def penalty(self, own: Own, keep: int, columns: int, progress: float) -> float:  # noqa: ARG002  # the contract's
        """Return nothing: so many stay at any time."""
        return 0.0

    def hard(self, sizes: torch.Tensor, own: Own, keep: int) -> torch.Tensor:  # noqa: ARG002  # the contract's
        """Return where the highest scores are."""
        return largest(own["scores"], keep)


def transported(scores: torch.Tensor, keep: int, temperature: float) -> torch.Tensor:
    """Return how much of each score goes to 1 at the least cost (s - target)², `keep` of each row in sum.

    sigmoid((s² - (s - 1)² + shift) / temperature), the shift such that rows sum up to `keep`; its gradient flows too.

    Args:
        scores: Shape (rows, columns).
        keep: Up to the number of columns, of which all pass.
        temperature: Of the entropy; the lower, the harder.
    """
    if keep == scores.shape[-1]:
        return torch.ones_like(scores)
    exact = scores.double()
    costs = 2 * exact - 1
    with torch.no_grad():
        reach = 50 * temperature
        low = -costs.max(dim=-1, keepdim=True).values - reach
        high = -costs.min(dim=-1, keepdim=True).values + reach
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            more = torch.sigmoid((costs + middle) / temperature).sum(dim=-1, keepdim=True) < keep
            low, high = torch.where(more, middle, low), torch.where(more, high, middle)
        shift = (low + high) / 2
        found = torch.sigmoid((costs + shift) / temperature)
        slopes = found * (1 - found)
        total = slopes.sum(dim=-1, keepdim=True)
        shares = torch.where(total > 0, slopes / total.clamp_min(torch.finfo(total.dtype).tiny), 0.0)
    # The sum stays where it is when a score moves: the shift moves against it, by these shares.
    moved = shift - (shares * (costs - costs.detach())).sum(dim=-1, keepdim=True)
    return torch.sigmoid((costs + moved) / temperature).to(scores.dtype)
