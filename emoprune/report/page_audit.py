"""What the page says of a run's audit, if there is one: findings, and the tables they came from."""

from __future__ import annotations

from dataclasses import dataclass

from emoprune.contracts import Audit, Finding
from emoprune.errors import ContractError, RunCorrupt
from emoprune.report.offers import interval
from emoprune.report.page_table import TableShown, table_shown
from emoprune.report.readable import ReadableRun
from emoprune.report.wording import plain
from emoprune.run.reading import is_sealed, read_object

__all__ = ["AuditShown", "audit_shown"]


@dataclass(frozen=True, slots=True)
class AuditShown:
    """An audit as the page writes it: `findings` are (alarm, sentence, statistic with its interval)."""

    made: str
    alarms: int
    findings: list[tuple[bool, str, str]]
    tables: list[TableShown]


def audit_shown(run: ReadableRun) -> AuditShown | None:
    """Return the run's audit in words; None if it was never audited.

    Raises:
        RunCorrupt: audit.json is not an audit.
    """
    path = run.path / "audit.json"
    if not path.exists():
        return None
    found = read_object(run.path, path.name, sealed=is_sealed(run.manifest))
    try:
        audit = Audit([Finding(**finding) for finding in found["findings"]], found["tables"])
        made = f"{len(found['candidates'])} candidates, {plain(found['at'])[:19].replace('T', ' ')} UTC"
    except (KeyError, TypeError, AttributeError, ContractError) as error:
        raise RunCorrupt(f"{path}: expected an audit, found {error!r}; audit the run again") from error
    return AuditShown(
        made,
        sum(finding.alarm for finding in audit.findings),
        [_finding(finding) for finding in audit.findings],
        [table_shown(plain(title), rows) for title, rows in audit.tables.items() if rows],
    )


def _finding(finding: Finding) -> tuple[bool, str, str]:
    bounds = {"value": finding.value, "low": finding.low, "high": finding.high}
    return finding.alarm, plain(finding.sentence, 2_000), f"{plain(finding.name)} {interval(bounds)}"
