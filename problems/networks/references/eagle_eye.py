"""Random ratios within a band of the target cost, of which the best measured one is taken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.contracts import Reference
from emoprune.problems.networks.references.inputs import Found, ReferenceInputs
from emoprune.problems.networks.references.target import widest_within
from emoprune.problems.networks.references.uniform import uniform_curve
from emoprune.space import IntArray

__all__ = ["eagle_eye"]

BAND = 0.005  # of the unpruned network's cost, on either side of the target
AT_ONCE = 1000  # genomes drawn before looking how many of them are in the band


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """Distinct genomes in the band, shape (n, groups), the drawn one nearest to the target, and how many were drawn."""

    inside: IntArray
    nearest: IntArray
    nearest_share: float
    tries: int


def eagle_eye(inputs: ReferenceInputs) -> Found:
    """Return for each target the best of `candidates` random genomes whose cost is within 0.005 of it, above or below.

    Rates are drawn uniformly for each coupling group, around the one that meets the target if all are alike, and what
    misses the band is rejected, for at most `tries` genomes. If none was in it, the one nearest to the target is taken,
    unmeasured, as `eagle-eye-P-off-band`, with a note. Source: Li et al., EagleEye: Fast Sub-net Evaluation for
    Efficient Neural Network Pruning, arXiv 2007.02491; there the range of the rates is chosen by hand.
    """
    references, notes, evaluations = [], [], 0
    for percentage in inputs.percentages:
        label = f"eagle-eye-{percentage}"
        drawn = _draw(inputs, percentage)
        count = len(drawn.inside)
        if count < inputs.candidates:
            notes.append(_shortage(label, inputs, drawn))
        errors = inputs.measured(drawn.inside, "eagle-eye") if count else np.empty(0)
        evaluations += count
        if np.isfinite(errors).any():
            best = np.lexsort((inputs.costs(drawn.inside), errors))[0]
            references.append(Reference(label, drawn.inside[best]))
        elif count:
            notes.append(f"{label}: left out, because none of its {count} candidates could be measured")
        else:
            references.append(Reference(f"{label}-off-band", drawn.nearest))
    return Found(tuple(references), evaluations, tuple(notes))


def _draw(inputs: ReferenceInputs, percentage: int) -> _Drawn:
    """Draw until there are enough distinct genomes in the band, or `tries` were drawn."""
    lowest, highest = _rates(inputs, percentage)
    inside: dict[bytes, IntArray] = {}
    nearest, nearest_share, tries = inputs.unpruned, 1.0, 0
    while len(inside) < inputs.candidates and tries < inputs.tries:
        count = min(AT_ONCE, inputs.tries - tries)
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
    kept = list(inside.values())[: inputs.candidates]
    return _Drawn(np.array(kept, dtype=np.int64).reshape(-1, len(nearest)), nearest, nearest_share, tries)


def _rates(inputs: ReferenceInputs, percentage: int) -> tuple[float, float]:
    """Return the widest range of rates around the one that meets the target if all groups have it."""
    alike = 1 - widest_within(uniform_curve(inputs), inputs, percentage).position
    reach = min(alike, 1 - alike)
    return alike - reach, alike + reach


def _shortage(label: str, inputs: ReferenceInputs, drawn: _Drawn) -> str:
    found = (
        f"{len(drawn.inside)} of {inputs.candidates} candidates within {BAND} of the target after {drawn.tries} tries"
    )
    if len(drawn.inside):
        return f"{label}: only {found}; raise `tries`, or give coupling groups more widths"
    return (
        f"{label}: {found}, so the nearest one, at {drawn.nearest_share:.4f} of the {inputs.cost}, is taken without "
        "measuring others; give coupling groups more widths"
    )
