"""What a run may ask of its endpoint, and what it has asked: the same numbers for every process that works on it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from emoprune.errors import ConfigError
from emoprune.problems.prompts.scorers.ledger import Ledger, Price

__all__ = ["Budget"]

CALLS = "calls.jsonl"
_log = logging.getLogger("emoprune")


class Budget:
    """Bounds of a whole run, and where its calls are counted once it has begun.

    Args:
        bounds: What it may spend, by name.
        price: Of tokens, None if it is not known.
    """

    def __init__(self, bounds: Mapping[str, float], price: Price | None) -> None:
        wrong = next((name for name, bound in bounds.items() if not bound > 0), None)
        if wrong is not None:
            raise ConfigError(f"at_most: {wrong}: expected a number above 0, found {bounds[wrong]}")
        self._bounds, self.price = dict(bounds), price
        self._path: Path | None = None
        self._counted = Ledger()

    def begin(self, folder: Path) -> None:
        """Count in a run's folder from now on."""
        self._path = (folder / CALLS).resolve()
        self._counted = Ledger(self._path, self._bounds, self.price)

    def ledger(self) -> Ledger:
        """Return what counts in this process.

        Raises:
            ConfigError: The run's folder is not to be seen here, and there is something to be bounded.
        """
        if self._path is None or self._path.parent.is_dir():
            return Ledger(self._path, self._bounds, self.price)
        if self._bounds:
            raise ConfigError(
                f"at_most: {next(iter(self._bounds))}: calls are counted in {self._path.parent}, which this machine "
                "does not see; let workers run where the run's folder is, or leave the bound out"
            )
        _log.warning("calls of this machine are not counted: it does not see %s", self._path.parent)
        return Ledger()

    def words(self) -> dict[str, str]:
        """Return what was spent so far, in words; nothing where nothing was asked."""
        spent = self._counted.total()
        return spent.words(self.price) if spent.calls else {}

    def words_of(self, account: str) -> dict[str, int]:
        """Return what was spent on one prompt, by what it is called."""
        spent = self._counted.of(account)
        own = {"calls": spent.calls, "tokens read": spent.read, "tokens written": spent.written}
        return {name: count for name, count in own.items() if count}

    def unaffordable(self, calls: int) -> str | None:
        """Say why so many calls more cannot be made; None if they can."""
        spent = self._counted.total()
        share = calls / spent.calls if spent.calls else 0.0
        for name, known in spent.bounded(self.price).items():
            bound, needed = self._bounds.get(name), calls if name == "calls" else share * known
            if bound is not None and known + needed > bound:
                return (
                    f"the bound on {name} ends the search: {known:,g} of {bound:,g} are spent, and another generation, "
                    f"with the front on the select and the test part, may take {needed:,.4g}"
                )
        return None
