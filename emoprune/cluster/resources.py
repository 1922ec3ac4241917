"""How many workers fit: what one takes, what the machines have, and a refusal that says what to change."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from emoprune.errors import ConfigError, ResourcesUnavailable

__all__ = ["Machine", "Share", "check_room", "room"]

SMALLEST = 0.0001  # what Ray counts in
ROUNDING = 1e-9  # three times 0.1 CPUs fit into 0.3
GIB = 2**30
OTHER_LABELS = "add machines with these labels, or ask for others: evaluation.node_labels"
OWN = {"CPU": "cpus_per_worker", "GPU": "gpus_per_worker", "memory": "memory_per_worker"}


@dataclass(frozen=True, slots=True)
class Machine:
    """What a machine of a cluster has, as Ray counts and labels it."""

    resources: Mapping[str, float]
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Share:
    """What one worker takes of a machine, in parts if need be, and which machines it may be on.

    `memory` is in GiB, `resources` are Ray's custom ones; `labels` are Ray's label selectors: a value, `!value`,
    `in(one, other)` or `!in(one, other)`.
    """

    cpus: float
    gpus: float
    memory: float = 0.0
    resources: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.gpus > 1 and not float(self.gpus).is_integer():
            raise ConfigError(
                f"evaluation.gpus_per_worker: expected a part of one GPU or a whole number of them, found {self.gpus:g}"
            )
        if any(0 < part < SMALLEST for part in (self.cpus, self.gpus)):
            raise ConfigError(
                f"evaluation: expected cpus_per_worker and gpus_per_worker of 0 or at least {SMALLEST:g}, "
                f"found {self.cpus:g} and {self.gpus:g}"
            )
        for name, amount in self.resources.items():
            if name in OWN:
                raise ConfigError(f"evaluation.resources_per_worker: {name} is evaluation.{OWN[name]}")
            if amount < SMALLEST or (amount > 1 and not float(amount).is_integer()):
                raise ConfigError(
                    f"evaluation.resources_per_worker: expected a part of one {name}, at least {SMALLEST:g}, or a "
                    f"whole number of them, found {amount:g}"
                )

    @property
    def needs(self) -> dict[str, float]:
        """What one worker takes, as Ray's resources, without what it takes nothing of."""
        whole = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory * GIB, **self.resources}
        return {name: amount for name, amount in whole.items() if amount > 0}

    @property
    def takes_nothing(self) -> bool:
        """Whether any number of workers fits on any machine."""
        return not self.needs and not self.labels

    def asked_for(self, workers: int) -> str:
        """Say what so many workers ask for."""
        each = ", ".join(f"{_amount(name, amount)} {_word(name, amount)}" for name, amount in self.needs.items())
        labelled = f" on machines with the labels {dict(self.labels)}" if self.labels else ""
        return f"{counted(workers, 'worker')} of {each or 'nothing'}{' each' if workers > 1 else ''}{labelled}"

    def options(self) -> dict[str, Any]:
        """Return what Ray is told of an actor with this share."""
        options: dict[str, Any] = {"num_cpus": self.cpus, "num_gpus": self.gpus}
        if self.memory > 0:
            options["memory"] = int(self.memory * GIB)
        if self.resources:
            options["resources"] = dict(self.resources)
        if self.labels:
            options["label_selector"] = dict(self.labels)
        return options

    def fits(self, resources: Mapping[str, float]) -> int:
        """Return how many workers a machine with these of Ray's resources has room for."""
        counts = [math.floor(resources.get(name, 0.0) / need + ROUNDING) for name, need in self.needs.items()]
        # A worker that takes nothing fits any number of times; one per CPU is what is meant.
        return min(counts, default=math.floor(resources.get("CPU", 0.0)))

    def allows(self, machine: Machine) -> bool:
        """Say whether the labels of `machine` are those that are asked for."""
        return all(_matches(machine.labels.get(name), wanted) for name, wanted in self.labels.items())


def _matches(label: str | None, selector: str) -> bool:
    wanted = selector.removeprefix("!")
    several = re.fullmatch(r"in\((.*)\)", wanted)
    values = {value.strip() for value in several[1].split(",")} if several else {wanted}
    return (label in values) != selector.startswith("!")


def room(machines: Sequence[Machine], share: Share) -> int:
    """Return how many workers fit on all machines together; none is spread over two."""
    return sum(share.fits(machine.resources) for machine in machines if share.allows(machine))


def check_room(workers: int, share: Share, machines: Sequence[Machine], waited: float = 0.0) -> None:
    """Refuse what cannot be placed, with what is needed, what is there, and what to change.

    Args:
        workers: How many are wanted.
        share: What each takes.
        machines: All that there are.
        waited: Seconds for which others could have joined.

    Raises:
        ResourcesUnavailable: Fewer than `workers` workers fit.
    """
    fit = room(machines, share)
    allowed = [machine for machine in machines if share.allows(machine)]
    if fit >= workers or (not share.needs and allowed):
        return
    have = {name: sum(machine.resources.get(name, 0.0) for machine in allowed) for name in ("CPU", "GPU", *share.needs)}
    need = {name: workers * amount for name, amount in {"CPU": share.cpus, "GPU": share.gpus, **share.needs}.items()}
    rows = [("", "need", "have"), ("workers", f"{workers}", f"{fit}")]
    rows += [(_word(name), _amount(name, need[name]), _amount(name, have[name])) for name in have]
    width = max(len(row[0]) for row in rows) + 1
    table = "\n".join(f"  {name:<{width}}{first:>8}{second:>8}" for name, first, second in rows)
    after = f" after {waited:.0f} s, in which more could have joined (evaluation.start_limit)" if waited else ""
    labelled = f" with the labels {dict(share.labels)}" if share.labels else ""
    raise ResourcesUnavailable(
        f"expected room for {counted(workers, 'worker')}, found room for {fit} on {counted(len(allowed), 'machine')}"
        f"{labelled}{after}:\n{table}\n"
        + (_remedy(workers, share, fit, have) if allowed or not share.labels else OTHER_LABELS)
    )


def counted(count: int, noun: str) -> str:
    """Return a number of things in words."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _word(name: str, amount: float = 2) -> str:
    if name in ("CPU", "GPU"):
        return name if amount == 1 else f"{name}s"
    return "GiB" if name == "memory" else name


def _amount(name: str, amount: float) -> str:
    return f"{amount / GIB:.3g}" if name == "memory" else f"{amount:g}"


def _remedy(workers: int, share: Share, fit: int, have: Mapping[str, float]) -> str:
    remedies = []
    cpus, gpus = have["CPU"], have["GPU"]
    if fit > 0:
        remedies.append(f"set evaluation.workers to {fit} or auto")
    if share.gpus > 0 and gpus == 0:
        remedies.append("set evaluation.gpus_per_worker to 0 to compute on CPUs")
    elif workers * share.gpus > gpus:
        remedies.append(f"let workers share GPUs: set evaluation.gpus_per_worker to {_downwards(gpus / workers)}")
    if workers * share.cpus > cpus > 0:
        remedies.append(f"let workers share CPUs: set evaluation.cpus_per_worker to {_downwards(cpus / workers)}")
    for name, need in share.needs.items():
        if name not in ("CPU", "GPU") and workers * need > have[name]:
            setting = OWN.get(name, "resources_per_worker")
            remedies.append(f"ask for less {_word(name)}: evaluation.{setting}")
    return "; or ".join(remedies or [f"add machines, or give each worker less than {share.cpus:g} CPUs"])


def _downwards(part: float) -> str:
    return f"{math.floor(part * 100) / 100:g}"
