"""From a way to choose columns to a policy for each share of them."""

from __future__ import annotations

from dataclasses import dataclass

from emoprune.contracts import Found, Reference
from emoprune.errors import ConfigError
from emoprune.problems.tables.streams.genes import CLUSTERS
from emoprune.problems.tables.streams.references.contract import ReferenceInputs
from emoprune.problems.tables.streams.windows import Policy

__all__ = ["AtShares", "Clustered"]


@dataclass(frozen=True, slots=True)
class AtShares:
    """A method that makes one reference for each share of the columns.

    Args:
        percentages: How many columns stay, whole percentages of all; at least one does.

    Raises:
        ConfigError: They are not percentages.
    """

    percentages: tuple[int, ...] = (50, 25)

    def __post_init__(self) -> None:
        wrong = [each for each in self.percentages if not 0 < each < 100]
        if wrong or len(set(self.percentages)) != len(self.percentages) or not self.percentages:
            raise ConfigError(
                f"percentages: expected whole numbers from 1 to 99, each once, found {list(self.percentages)}"
            )

    def along(
        self, name: str, inputs: ReferenceInputs, *, clusters: int, threshold: float, information_weight: float = 0.0
    ) -> Found:
        """Return `name-N`, the policy that keeps N columns, for each share."""
        columns, found = inputs.genes.columns, dict[int, Reference]()
        for percentage in self.percentages:
            keep = max(1, columns * percentage // 100)
            genome = inputs.genes.encoded(Policy(keep, clusters, threshold, information_weight))
            found[keep] = Reference(f"{name}-{keep}", genome)
        return Found(tuple(found.values()))


@dataclass(frozen=True, slots=True)
class Clustered(AtShares):
    """A method that keeps the columns which are tightest inside the clusters of a window's rows.

    Args:
        clusters: How many clusters there are, 2 to 10.

    Raises:
        ConfigError: There are fewer or more.
    """

    clusters: int = 5

    def __post_init__(self) -> None:
        AtShares.__post_init__(self)
        if self.clusters not in CLUSTERS:
            raise ConfigError(f"clusters: expected {CLUSTERS[0]} to {CLUSTERS[-1]}, found {self.clusters}")
