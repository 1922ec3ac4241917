"""What the problem on reservoirs can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from emoprune.errors import ConfigError

__all__ = ["ReservoirOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservoirOptions:
    """Which series is forecast, by which reservoir, and what is measured of what stays of it.

    Args:
        data: mackey-glass, a .csv or .npy file of one series, or `package.module:function` that returns an array.
        column: Of a .csv file with a header, which column; the first unless said.
        length: Of mackey-glass, how many steps.
        horizon: How many steps ahead is forecast.
        washout: How many steps a reservoir runs before anything of it counts.
        kind: echo-state or spiking, which are leaky integrate-and-fire neurons.
        neurons: How many there are, unpruned.
        connectivity: Which share of all pairs has an edge, unpruned.
        radius: The spectral radius of the unpruned weights.
        time_constant: The mean of the neurons' time constants in steps, which are drawn from a gamma distribution.
        ridge: The penalty on the readout's weights.
        reservoir_seed: Another one draws another reservoir.
        criteria: How neurons may be ranked: methods by name (`emoprune list criteria`), or mappings.
        objectives: What is made better, by name (`emoprune list objectives`), or mappings.
        references: What a user would have picked: methods by name (`emoprune list references`), or mappings.
    """

    data: str = "mackey-glass"
    column: str | None = None
    length: int = 2400
    horizon: int = 6
    washout: int = 100
    kind: Literal["echo-state", "spiking"] = "echo-state"
    neurons: int = 100
    connectivity: float = 0.1
    radius: float = 0.9
    time_constant: float = 2.0
    ridge: float = 1e-6
    reservoir_seed: int = 0
    criteria: Sequence[str | Mapping[str, Any]] = ("noise", "activity", "slowness", "random")
    objectives: Sequence[str | Mapping[str, Any]] = ("nmse", "edges")
    references: Sequence[str | Mapping[str, Any]] = ("ranked",)

    def __post_init__(self) -> None:
        for name, least in (("horizon", 1), ("washout", 1), ("neurons", 5), ("length", 100)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name}: expected at least {least}, found {getattr(self, name)}")
        for name in ("connectivity", "radius", "ridge"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"{name}: expected a number above 0, found {getattr(self, name)}")
        if self.connectivity > 1:
            raise ConfigError(f"connectivity: expected a share of all pairs, at most 1, found {self.connectivity}")
        if self.time_constant < 1:
            raise ConfigError(f"time_constant: expected at least one step, found {self.time_constant}")
        if not self.criteria:
            raise ConfigError("criteria: expected one or more ways to rank neurons, found none")
