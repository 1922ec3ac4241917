"""A pymoo problem that weighs something, evaluated genome by genome through a runner."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.core.problem import ElementwiseProblem
from pymoo.parallelization.ray import RayParallelization

from shared.landscapes import Landscape

__all__ = ["Weighty"]


class Weighty(ElementwiseProblem):  # type: ignore[misc]  # pymoo ships no types
    """A landscape with `weight` bytes of ballast, as pymoo's users write a problem that holds data."""

    def __init__(self, landscape: Landscape, weight: int, runner: RayParallelization) -> None:
        super().__init__(n_var=landscape.genes, n_obj=len(landscape.worst), xl=0, xu=1, elementwise_runner=runner)
        self._landscape = landscape
        self._ballast = np.random.default_rng(3).bytes(weight)

    def _evaluate(self, genome: NDArray[np.int64], out: dict[str, Any], *_: Any, **__: Any) -> None:
        out["F"] = self._landscape.scores([genome])[0]
