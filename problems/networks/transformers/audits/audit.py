"""The audit of a front of transformers, put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emoprune.contracts import Audit, Finding, Table
from emoprune.errors import ConfigError
from emoprune.problems.language.texts import SOURCE_TEXT
from emoprune.problems.networks.transformers.anatomy.narrowing import Adjust, Narrower
from emoprune.problems.networks.transformers.anatomy.structure import BlockPlan
from emoprune.problems.networks.transformers.audits.calibration import sensitivity_findings
from emoprune.problems.networks.transformers.audits.domains import domain_findings, ranking_finding
from emoprune.problems.networks.transformers.audits.families import Families, families_findings
from emoprune.problems.networks.transformers.criteria.contract import TransformerCriterion, TransformerEvidence
from emoprune.problems.networks.transformers.data.batches import CALIBRATION, Batch
from emoprune.problems.networks.transformers.genes import Orders
from emoprune.problems.networks.transformers.prepare import orders_of
from emoprune.problems.networks.transformers.running.runner import Runner
from emoprune.problems.networks.transformers.tasks.opening import Opened, other_batches
from emoprune.problems.networks.transformers.tasks.options import Options

__all__ = ["Audited"]

Plans = Mapping[int, Sequence[BlockPlan]]
OTHER = "other"


@dataclass(frozen=True, slots=True, eq=False)
class Audited:
    """What an audit needs of a problem: model and data, what ranks units, and what cuts candidates out."""

    opened: Opened
    criterion: TransformerCriterion
    narrower: Narrower
    device: str
    options: Options

    def audit(
        self,
        plans: Plans,
        *,
        measure: str,
        seed: int,
        samples: int,
        other_data: str | None,
        adjust: Adjust | None,
        families: bool,
    ) -> Audit:
        """Return findings and tables; see the problem's `audit`.

        Raises:
            ConfigError: There are too few candidates, or too little data for other samples.
        """
        if len(plans) < 2:
            raise ConfigError(f"audit: expected at least 2 candidates beside the unpruned model, found {len(plans)}")
        other = other_data
        if other is None and self.options.task == "language-modelling":
            other = SOURCE_TEXT
        elsewhere = {} if other is None else {other: other_batches(self.opened, self.options, other)}
        findings, tables = self._masks(plans, samples, seed, elsewhere)
        quality = {part: self._values(plans, part, measure) for part in ("search", "test")}
        rng = np.random.default_rng(seed)
        findings.append(ranking_finding(quality["search"][1:], quality["test"][1:], measure, rng))
        there = {name: self._values(plans, OTHER, measure, batches) for name, batches in elsewhere.items()}
        found, rows = domain_findings(quality["test"], there, measure)
        findings += found
        tables["other data"] = rows
        if families:
            compared, table = self._families(plans, measure, adjust)
            findings += compared
            tables["families at their real bytes"] = table
        return Audit(findings, {title: own for title, own in tables.items() if own})

    def _masks(
        self, plans: Plans, samples: int, seed: int, elsewhere: Mapping[str, Sequence[Batch]]
    ) -> tuple[list[Finding], dict[str, Table]]:
        wanted = len(self.opened.task.parts[CALIBRATION])
        rest = self.opened.train[wanted:] if self.options.task == "language-modelling" else self.opened.train
        same = [rest[number * wanted : (number + 1) * wanted] for number in range(samples)]
        same = [own for own in same if len(own) == wanted]
        rankings = [self._orders(own, seed) for own in same]
        other = {name: self._orders(batches[:wanted], seed) for name, batches in elsewhere.items()}
        findings, rows = sensitivity_findings(list(plans.values()), self.opened.anatomy.units, rankings, other)
        return findings, {"other calibration": rows}

    def _orders(self, batches: Sequence[Batch], seed: int) -> Orders:
        own = [batch.on(self.device) for batch in batches]
        return orders_of(self.criterion(TransformerEvidence(self.opened.task, self.opened.anatomy, own, (), seed)))

    def _values(
        self, plans: Plans, part: str, measure: str, batches: Sequence[Batch] | None = None
    ) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return the measure of the unpruned model and of each candidate on a part of the data, or on other batches."""
        own = [batch.on(self.device) for batch in batches or self.opened.task.parts[part]]
        runner = Runner(self.narrower, {part: own}, self.options.cache_megabytes * 2**20)
        judge = self.opened.task.judge(self.narrower, {part: own})
        whole = [self.opened.anatomy.whole(number) for number in range(len(self.opened.anatomy.blocks))]
        values = [
            judge.scores(runner.hidden(each, part), part, frozenset({measure}))[measure]
            for each in (whole, *plans.values())
        ]
        return np.array(values)

    def _families(self, plans: Plans, measure: str, adjust: Adjust | None) -> tuple[list[Finding], Table]:
        named = {f"candidate {number}": own for number, own in plans.items()}
        number = len(self.opened.anatomy.blocks)
        dropped = {
            f"the last {gone} of {number} layers": [
                BlockPlan(("gone",), False, own.heads, own.neurons) if place >= number - gone else own
                for place, own in enumerate(self.opened.anatomy.whole(each) for each in range(number))
            ]
            for gone in sorted({max(1, number // 8), max(1, number // 4)})
            if gone < number
        }
        made = Families(self.opened, adjust, measure, self.device)
        found = [made.unpruned(), *made.pruned(named), *made.rounded(), *made.low_rank()]
        found += [*made.pruned(dropped, "dropping layers"), *made.mixed(named)]
        return families_findings(found, measure)
