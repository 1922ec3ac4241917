"""How many workers fit: what one takes, what the machines have, and a refusal that says what to change."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from emoprune.errors import ConfigError, ResourcesUnavailable

__all__ = ["Share", "check_room", "room"]

SMALLEST = 0.0001  # what Ray counts in
ROUNDING = 1e-9  # three times 0.1 CPUs fit into 0.3


@dataclass(frozen=True, slots=True)
class Share:
    """What one worker takes of a machine: CPUs and GPUs, in parts if need be."""

    cpus: float
    gpus: float

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

    def fits(self, machine: Mapping[str, float]) -> int:
        """Return how many workers `machine`, given as Ray's resources, has room for."""
        parts = [(machine.get("CPU", 0.0), self.cpus), (machine.get("GPU", 0.0), self.gpus)]
        counts = [math.floor(have / need + ROUNDING) for have, need in parts if need > 0]
        # A worker that takes nothing fits any number of times; one per CPU is what is meant.
        return min(counts, default=math.floor(machine.get("CPU", 0.0)))


def room(machines: Sequence[Mapping[str, float]], share: Share) -> int:
    """Return how many workers fit on all machines together; none is spread over two."""
    return sum(share.fits(machine) for machine in machines)


def check_room(workers: int, share: Share, machines: Sequence[Mapping[str, float]]) -> None:
    """Refuse what cannot be placed, with what is needed, what is there, and what to change.

    Raises:
        ResourcesUnavailable: Fewer than `workers` workers fit.
    """
    fit = room(machines, share)
    if fit >= workers or (share.cpus == 0 and share.gpus == 0):
        return
    cpus, gpus = (sum(machine.get(name, 0.0) for machine in machines) for name in ("CPU", "GPU"))
    rows = [("", "need", "have"), ("workers", f"{workers}", f"{fit}")]
    rows += [("CPUs", f"{workers * share.cpus:g}", f"{cpus:g}"), ("GPUs", f"{workers * share.gpus:g}", f"{gpus:g}")]
    table = "\n".join(f"  {name:<8}{need:>8}{have:>8}" for name, need, have in rows)
    raise ResourcesUnavailable(
        f"expected room for {workers} workers, found room for {fit} on {_machines(len(machines))}:\n{table}\n"
        f"{_remedy(workers, share, fit, cpus, gpus)}"
    )


def _machines(count: int) -> str:
    return "1 machine" if count == 1 else f"{count} machines"


def _remedy(workers: int, share: Share, fit: int, cpus: float, gpus: float) -> str:
    remedies = []
    if fit > 0:
        remedies.append(f"set evaluation.workers to {fit} or auto")
    if share.gpus > 0 and gpus == 0:
        remedies.append("set evaluation.gpus_per_worker to 0 to compute on CPUs")
    elif workers * share.gpus > gpus:
        remedies.append(f"let workers share GPUs: set evaluation.gpus_per_worker to {_downwards(gpus / workers)}")
    if workers * share.cpus > cpus:
        remedies.append(f"let workers share CPUs: set evaluation.cpus_per_worker to {_downwards(cpus / workers)}")
    return "; or ".join(remedies or [f"give each worker less than {share.cpus:g} CPUs and {share.gpus:g} GPUs"])


def _downwards(part: float) -> str:
    return f"{math.floor(part * 100) / 100:g}"
