"""The audit that a front of transformers gets unless another one is named."""

from __future__ import annotations

from dataclasses import dataclass

from emoprune.contracts import Audit, Finding, Table, about
from emoprune.problems.networks.transformers.audits.contract import TransformerAudit, TransformerFront
from emoprune.problems.networks.transformers.audits.domains import Domains
from emoprune.problems.networks.transformers.audits.families import Families
from emoprune.problems.networks.transformers.audits.samples import Samples

__all__ = ["SamplesAndDomains"]


@about(
    "audit",
    ["heads", "neurons"],
    serves=["heads-and-neurons"],
    cost="a ranking of all units for each sample, every candidate measured on three sets of data; more with families",
)
@dataclass(frozen=True, slots=True)
class SamplesAndDomains:
    """Would the same units stay on other samples, and does the front hold on other data, beside other families?

    Args:
        samples: How many other samples of the training part, each as large as the calibration part.
        other_data: A text, or a table or images with the same classes; by default Python's own source code for a
            language model, and nothing for a classifier.
        families: Whether other families of compression are held against the front at equal bytes.
    """

    samples: int = 2
    other_data: str | None = None
    families: bool = False

    def __call__(self, front: TransformerFront) -> Audit:
        """Return the findings of `samples`, `domains` and, if asked for, `families`, in this order."""
        parts: list[TransformerAudit] = [Samples(self.samples, self.other_data), Domains(self.other_data)]
        if self.families:
            parts.append(Families())
        findings, tables = list[Finding](), dict[str, Table]()
        for part in parts:
            found = part(front)
            findings += found.findings
            tables |= found.tables
        return Audit(findings, tables)
