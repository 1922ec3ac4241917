"""pymoo's algorithms as this search uses them: with stable survival, and without what pymoo does beside that."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.algorithms.moo.sms import SMSEMOA
from pymoo.core.infill import InfillCriterion
from pymoo.core.termination import NoTermination
from pymoo.util.ref_dirs import get_reference_directions

from emoprune.algorithms.pymoo_survival import FeasibleFirst, GeometryOrCrowding, StableRankAndCrowding
from emoprune.errors import ConfigError

__all__ = ["age_moea2_class", "made", "pymoo_warnings_fenced"]

FloatArray = NDArray[np.float64]


@contextlib.contextmanager
def pymoo_warnings_fenced() -> Iterator[None]:
    """Undo pymoo's process-wide `warnings.simplefilter`, which would silence the caller's warnings too."""
    with warnings.catch_warnings():
        yield


def made(name: str, objectives: int, population: int) -> Any:
    """Return a pymoo algorithm with stable survival and without its own mating and bookkeeping of optima."""
    # Everything with a shared default instance is passed, so that two searches never share an operator.
    given = {"pop_size": population, "mating": InfillCriterion(), "sampling": None, "crossover": None, "mutation": None}
    given |= {"selection": None, "eliminate_duplicates": False, "output": None}
    if name == "nsga3":
        algorithm = _quiet(NSGA3)(ref_dirs=_reference_directions(objectives, population), **given)
    elif name == "sms-emoa":
        algorithm = _quiet(SMSEMOA)(**given)
        if objectives == 1:  # moocore starts at two; of one, what contributes least is what ranks last
            algorithm.survival = StableRankAndCrowding()
    elif name == "age-moea2":
        algorithm = _quiet(age_moea2_class(objectives))(**given)
        algorithm.survival = GeometryOrCrowding(algorithm.survival)
    else:
        algorithm = _quiet(NSGA2)(survival=StableRankAndCrowding(), **given)
    algorithm.survival = FeasibleFirst(algorithm.survival)
    algorithm.termination = NoTermination()
    return algorithm


def _quiet(algorithm: type) -> Any:
    """Return the algorithm without its search for the optimum after every tell, which nothing here reads."""
    return type(algorithm.__name__, (algorithm,), {"_set_optimum": lambda self, **_: None})  # noqa: ARG005  # a method


def age_moea2_class(objectives: int) -> type:
    """Return AGE-MOEA-II, which not every installation has.

    Raises:
        ConfigError: It is not installed, or cannot work with so few objectives.
    """
    if objectives < 2:
        raise ConfigError("search.algorithm: age-moea2 needs at least 2 objectives, the problem has 1; use nsga2")
    try:
        from pymoo.algorithms.moo.age2 import AGEMOEA2  # compiled by numba, an extra
    except Exception as error:  # pymoo raises a bare Exception when numba is missing
        raise ConfigError(
            "search.algorithm: age-moea2 is compiled by numba, which is not installed; "
            "install it with: pip install 'emoprune[age-moea2]'"
        ) from error
    found: type = AGEMOEA2
    return found


def _reference_directions(objectives: int, population: int) -> FloatArray:
    """Return the finest Das-Dennis grid with no more directions than the population has members."""
    if objectives == 1:
        return np.ones((1, 1))
    grid = np.eye(objectives)
    for partitions in range(1, population + 1):
        finer = get_reference_directions("das-dennis", objectives, n_partitions=partitions)
        if len(finer) > population:
            break
        grid = finer
    return np.asarray(grid, dtype=np.float64)
