"""The proxy audited: what the search measured of candidates, beside what they are after fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from emoprune.contracts import Audit, Cell, FloatArray, Table
from emoprune.errors import ConfigError
from emoprune.problems.networks.channels.audits.trials import Setting, Subject
from emoprune.problems.networks.evaluation.chance import chance_finding
from emoprune.problems.networks.evaluation.quality import Quality
from emoprune.problems.networks.statistics.fidelity import Ranked, fidelity_findings
from emoprune.records import Split
from emoprune.space import IntArray

__all__ = ["Matched", "audit_proxy"]

DIGITS = 6


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """Networks that cost as much as one another within their bands: `bands` has one number per subject."""

    subjects: Sequence[Subject] = ()
    bands: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def __post_init__(self) -> None:
        if self.bands.shape != (len(self.subjects),):
            raise ConfigError(f"expected one band for each of {len(self.subjects)}, found shape {self.bands.shape}")


def audit_proxy(front: Sequence[Subject], matched: Matched, setting: Setting) -> Audit:
    """Hold the proxy against the test result after fine-tuning; return findings and the tables they rest on.

    Method: Is Oracle Pruning the True Oracle?, arXiv 2412.00143. For any pruned networks: channels, weights, bits.

    Args:
        front: At least two candidates along the front.
        matched: Networks of equal cost within their bands; may be none.
        setting: Where and how they are measured.

    Raises:
        ConfigError: There is only one candidate, or training diverged.
        ContractError: Outputs are not finite.
    """
    if len(front) < 2:
        raise ConfigError(f"expected at least 2 candidates beside the unpruned network to audit, found {len(front)}")
    rng, quality = np.random.default_rng(setting.trials.seed), setting.trials.quality
    along, errors = _ranked(front, None, setting, "candidate")
    labels = setting.bench.images[Split.SEARCH].labels.cpu().numpy()
    tables: dict[str, Table] = {"along the front": _table(along, quality)}
    beside = None
    if matched.subjects:
        beside, _ = _ranked(matched.subjects, matched.bands, setting, "network of equal cost")
        tables["networks of equal cost"] = _table(beside, quality)
    return Audit([chance_finding(errors, labels), *fidelity_findings(along, beside, rng)], tables)


def _ranked(
    subjects: Sequence[Subject], bands: IntArray | None, setting: Setting, label: str
) -> tuple[Ranked, FloatArray]:
    """Return what is to be ranked, less being better, and the error of each subject as searched."""
    proxies, errors = setting.proxy_values(subjects)
    costs, less = np.array([subject.cost for subject in subjects]), setting.trials.quality.minimised
    return Ranked(less(proxies), less(setting.final_values(subjects, label)), costs, bands), errors


def _table(ranked: Ranked, quality: Quality) -> Table:
    repeated, proxy, mean = ranked.final.shape[1] > 1, quality.minimised(ranked.proxy), quality.minimised(ranked.mean)
    rows: list[dict[str, Cell]] = []
    for number in range(len(ranked)):
        row: dict[str, Cell] = {"number": number + 1}
        if ranked.bands is not None:
            row["band"] = int(ranked.bands[number]) + 1
        row["cost"] = float(ranked.cost[number])
        row[f"{quality.name} on search, as searched"] = round(float(proxy[number]), DIGITS)
        row[f"{quality.name} on test, trained"] = round(float(mean[number]), DIGITS)
        row["standard deviation"] = round(float(ranked.final[number].std(ddof=1)), DIGITS) if repeated else None
        rows.append(row)
    return rows
