"""What an endpoint was asked and what it charges: counted in the run's folder by every worker, and bounded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import numpy as np
from filelock import FileLock

from emoprune.contracts import FloatArray
from emoprune.errors import ConfigError, EmopruneError
from emoprune.storage import guarded

__all__ = ["BOUNDED", "BudgetSpent", "Ledger", "Price", "Spent", "account_of"]

BOUNDED = ("calls", "billed-tokens", "spending")  # what can be bounded for a whole run
MILLION = 1e6


class BudgetSpent(EmopruneError):
    """A call would pass a bound on what a run may ask of its endpoint."""

    exit_code = 6


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens cost: those of prompts, and those of answers."""

    input: float
    output: float

    @classmethod
    def of(cls, given: float | Price | None) -> Price | None:
        """Return the price of an option, which may be one number for all tokens."""
        return cls(given, given) if isinstance(given, int | float) else given

    def __post_init__(self) -> None:
        if self.input < 0 or self.output < 0:
            raise ConfigError(f"price: expected numbers of 0 or more, found {self.input} and {self.output}")

    def costs(self, used: FloatArray) -> FloatArray:
        """Return what tokens cost that were read and written, shapes (n, 2) and (n,)."""
        return np.asarray(used @ np.array([self.input, self.output]) / MILLION)


@dataclass(frozen=True, slots=True)
class Spent:
    """Calls that were made, and the tokens of their prompts and answers as far as the endpoint said how many."""

    calls: int = 0
    read: int = 0
    written: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.calls + other.calls, self.read + other.read, self.written + other.written)

    def cost(self, price: Price) -> float:
        """Return what the tokens cost."""
        return float(price.costs(np.array([[self.read, self.written]]))[0])

    def bounded(self, price: Price | None) -> dict[str, float]:
        """Return what of it can be bounded, by name."""
        known = {"calls": float(self.calls), "billed-tokens": float(self.read + self.written)}
        return known if price is None else {**known, "spending": self.cost(price)}

    def words(self, price: Price | None) -> dict[str, str]:
        """Say it in a person's words, by what it is called."""
        tokens = {"billed tokens": f"{self.read:,} read, {self.written:,} written"} if self.read or self.written else {}
        cost = {} if price is None else {"spending": f"{self.cost(price):.4g}"}
        return {"calls": f"{self.calls:,}", **tokens, **cost}


def account_of(split: str, text: str) -> str:
    """Return what the calls for a prompt on a part of the data are counted under."""
    return f"{split} {hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"


class Ledger:
    """Counts calls and tokens in a file that all workers append to; calls are counted before they are made.

    Args:
        path: The file; None counts nothing.
        bounds: What the run may spend, by the names in `BOUNDED`.
        price: Of tokens, if it is known.
    """

    def __init__(
        self,
        path: Path | None = None,
        bounds: Mapping[str, float] = MappingProxyType({}),
        price: Price | None = None,
    ) -> None:
        self.path, self.bounds, self.price = path, dict(bounds), price
        self._read_to = 0
        self._accounts: dict[str, Spent] = {}

    def begin(self, calls: int, account: str) -> None:
        """Count calls that are about to be made.

        Raises:
            BudgetSpent: They would pass a bound; none of them is to be made.
            StorageError: It cannot be written down.
        """
        if self.path is None:
            return
        with self._locked(self.path) as file:
            self._take_in(file)
            self._check(calls)
            self._append(file, account, Spent(calls))

    def end(self, read: int, written: int, account: str) -> None:
        """Count the tokens of calls that were answered."""
        if self.path is None or not read + written:
            return
        with self._locked(self.path) as file:
            self._append(file, account, Spent(0, read, written))

    def total(self) -> Spent:
        """Return all that was counted."""
        return sum(self._known().values(), Spent())

    def of(self, account: str) -> Spent:
        """Return what was counted under one name."""
        return self._known().get(account, Spent())

    def left(self, name: str) -> float:
        """Return how much of a bound is left; infinity where there is none."""
        return self.bounds.get(name, float("inf")) - self.total().bounded(self.price).get(name, 0.0)

    def _known(self) -> dict[str, Spent]:
        if self.path is not None and self.path.exists():
            with self.path.open("rb") as file:
                self._take_in(file)
        return self._accounts

    def _check(self, calls: int) -> None:
        spent = sum(self._accounts.values(), Spent()).bounded(self.price)
        for name, bound in self.bounds.items():
            # Tokens are known once a call is answered, so the last calls may pass their bound; calls never do.
            wanted = calls if name == "calls" else 0
            if spent[name] + wanted > bound or (not wanted and spent[name] >= bound):
                more = f", and {wanted} more are wanted" if wanted else ""
                raise BudgetSpent(
                    f"at_most: {name}: the whole run may have {bound:,g}; {spent[name]:,g} are spent{more}"
                )

    @contextmanager
    def _locked(self, path: Path) -> Iterator[BinaryIO]:
        with guarded(path), FileLock(path.with_suffix(".lock")), path.open("a+b") as file:
            yield file

    def _append(self, file: BinaryIO, account: str, spent: Spent) -> None:
        size = file.seek(0, 2)
        torn = False
        if size:
            file.seek(size - 1)
            torn = file.read(1) != b"\n"
        line = json.dumps([account, spent.calls, spent.read, spent.written])
        file.write(b"\n" * torn + line.encode() + b"\n")
        file.flush()

    def _take_in(self, file: BinaryIO) -> None:
        """Read what was appended since the last time."""
        file.seek(self._read_to)
        more = file.read()
        whole = more[: more.rfind(b"\n") + 1]
        self._read_to += len(whole)
        for line in whole.splitlines():
            account, spent = _parsed(line)
            self._accounts[account] = self._accounts.get(account, Spent()) + spent


def _parsed(line: bytes) -> tuple[str, Spent]:
    """Return a line's account and numbers; one that a kill cut off says nothing."""
    try:
        account, calls, read, written = json.loads(line)
        return str(account), Spent(int(calls), int(read), int(written))
    except (ValueError, TypeError):
        return "torn", Spent()
