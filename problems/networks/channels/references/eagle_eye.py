"""Random ratios within a band of the target cost, of which the best measured one is taken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.contracts import Found, MeasuredErrors, Paper, Reference, Starts, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.channels.references.inputs import ReferenceInputs
from emoprune.problems.networks.channels.references.target import AtTargets, widest_within
from emoprune.problems.networks.channels.references.uniform import uniform_curve
from emoprune.space import IntArray

__all__ = ["EagleEye"]

BAND = 0.005  # of the unpruned network's cost, on either side of the target
AT_ONCE = 1000  # genomes drawn before looking how many of them are in the band


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """Distinct genomes in the band, shape (n, groups), the drawn one nearest to the target, and how many were drawn."""

    inside: IntArray
    nearest: IntArray
    nearest_share: float
    tries: int


@about(
    "pruning",
    ["channels"],
    serves=["channels"],
    cost="50 evaluations for each target",
    papers=[Paper("EagleEye: Fast Sub-net Evaluation for Efficient Neural Network Pruning", "2007.02491")],
    refuses=dict.fromkeys(
        ("heads-and-neurons", "transformer-weight-ratios", "transformer-bit-widths"),
        "it ranks random networks by batch norms whose statistics are estimated anew, and a transformer has none; "
        "there, candidates are ranked as they are, and `random` and `uniform` stand beside the search",
    ),
)
@dataclass(frozen=True, slots=True)
class EagleEye(AtTargets):
    """For each target the best of some random genomes whose cost is within 0.005 of it, above or below.

    Rates are drawn uniformly for each coupling group, around the one that meets the target if all are alike, and what
    misses the band is rejected. If none was in it, the one nearest to the target is taken, unmeasured, as
    `eagle-eye-P-off-band`, with a note. Source: Li et al., EagleEye: Fast Sub-net Evaluation for Efficient Neural
    Network Pruning, arXiv 2007.02491; there the range of the rates is chosen by hand.

    Args:
        percentages: The targets, whole percentages of what the unpruned network costs.
        candidates: How many genomes are measured for each target.
        tries: How many are drawn for each target at most.
    """

    candidates: int = 50
    tries: int = 20_000

    def __post_init__(self) -> None:
        AtTargets.__post_init__(self)
        if self.candidates < 1 or self.tries < self.candidates:
            raise ConfigError(
                f"candidates: expected at least 1, and at least as many tries, found {self.candidates} and {self.tries}"
            )

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return the candidates of each target, and the references of targets that have none."""
        references, starts, notes = [], {}, []
        for percentage in self.percentages:
            label = f"eagle-eye-{percentage}"
            drawn = self._draw(inputs, percentage)
            if len(drawn.inside) < self.candidates:
                notes.append(self._shortage(label, inputs, drawn))
            if len(drawn.inside):
                starts[label] = drawn.inside
            else:
                references.append(Reference(f"{label}-off-band", drawn.nearest))
        return Found(tuple(references), starts, tuple(notes))

    def picked(self, inputs: ReferenceInputs, starts: Starts, measured: MeasuredErrors) -> Found:
        """Return the best candidate of each target, the cheapest of equally good ones."""
        references, notes = [], []
        for label, inside in starts.items():
            errors = measured(inside)
            if np.isfinite(errors).any():
                references.append(Reference(label, inside[np.lexsort((inputs.costs(inside), errors))[0]]))
            else:
                notes.append(f"{label}: left out, because none of its {len(inside)} candidates could be measured")
        return Found(tuple(references), notes=tuple(notes))

    def _draw(self, inputs: ReferenceInputs, percentage: int) -> _Drawn:
        """Draw until there are enough distinct genomes in the band, or `tries` were drawn."""
        lowest, highest = _rates(inputs, percentage)
        inside: dict[bytes, IntArray] = {}
        nearest, nearest_share, tries = inputs.unpruned, 1.0, 0
        while len(inside) < self.candidates and tries < self.tries:
            count = min(AT_ONCE, self.tries - tries)
            rates = inputs.rng.uniform(lowest, highest, (count, len(inputs.levels.full)))
            genomes = inputs.genomes_of_shares(1 - rates)
            shares = inputs.costs(genomes) / inputs.unpruned_cost
            off = np.abs(shares - percentage / 100)
            tries += count
            if off.min() < abs(nearest_share - percentage / 100):
                nearest, nearest_share = genomes[off.argmin()], float(shares[off.argmin()])
            hits = genomes[off <= BAND + 1e-12]
            keys = inputs.levels.space.keys(hits)
            inside |= {key: genome for key, genome in zip(keys, hits, strict=True) if key not in inside}
        kept = list(inside.values())[: self.candidates]
        return _Drawn(np.array(kept, dtype=np.int64).reshape(-1, len(nearest)), nearest, nearest_share, tries)

    def _shortage(self, label: str, inputs: ReferenceInputs, drawn: _Drawn) -> str:
        within = f"within {BAND} of the target after {drawn.tries} tries"
        found = f"{len(drawn.inside)} of {self.candidates} candidates {within}"
        if len(drawn.inside):
            return f"{label}: only {found}; raise `tries`, or give coupling groups more widths"
        return (
            f"{label}: {found}, so the nearest one, at {drawn.nearest_share:.4f} of the {inputs.cost}, is taken "
            "without measuring others; give coupling groups more widths"
        )


def _rates(inputs: ReferenceInputs, percentage: int) -> tuple[float, float]:
    """Return the widest range of rates around the one that meets the target if all groups have it."""
    alike = 1 - widest_within(uniform_curve(inputs), inputs, percentage).position
    reach = min(alike, 1 - alike)
    return alike - reach, alike + reach
