"""How a score follows from a mean over examples: as it is, as e to it, or as its root."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

__all__ = ["LINKS", "Link", "error_through", "through"]

FloatArray = NDArray[np.float64]

Link = Literal["mean", "exp-mean", "root-mean"]
LINKS: tuple[Link, ...] = get_args(Link)

HIGHEST = 80.0  # nats of a loss, whose exponential nothing is compared with any more
DIGITS = 12  # of a mean: the order in which its blocks are added up changes those behind


def through(link: Link, means: FloatArray) -> FloatArray:
    """Return scores of any shape from means; equal hits on other blocks give equal scores."""
    with np.errstate(divide="ignore"):
        places = DIGITS - 1 - np.floor(np.log10(np.abs(means)))
    scale = 10.0 ** np.where(np.isfinite(places), np.clip(places, -200, 200), 0.0)
    means = np.round(means * scale) / scale
    if link == "exp-mean":
        return np.exp(np.minimum(means, HIGHEST))
    return np.sqrt(np.maximum(means, 0.0)) if link == "root-mean" else means


def error_through(link: Link, means: FloatArray, errors: FloatArray) -> FloatArray:
    """Return standard errors of scores from those of means, by the delta method: times the slope of the link there."""
    if link == "exp-mean":
        return np.asarray(through(link, means) * errors)
    if link == "root-mean":
        roots = through(link, means)
        return np.divide(errors, 2.0 * roots, out=np.full_like(errors, np.nan), where=roots > 0)
    return errors
