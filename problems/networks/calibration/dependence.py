"""Which units of a coupling group are sums of others, by what their readers make of them on the calibration images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.optimize
import torch

from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.calibration.filters import as_filters
from emoprune.problems.networks.calibration.hooks import readers
from emoprune.problems.networks.calibration.moments import Moments, patch_moments, width_of_filters, within
from emoprune.problems.networks.coupling.structure import Part
from emoprune.space import IntArray

__all__ = [
    "ROWS_PER_WEIGHT",
    "WIDEST",
    "Order",
    "contributions_of_units",
    "elimination",
    "factors_for",
    "free_widths",
    "products_of_channels",
]

ROUNDING = 1e-13  # of the largest eigenvalue: what is smaller is none
ROWS_PER_WEIGHT = 4.0
WIDEST = 4608  # weights of one filter up to which moments are gathered


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """The units in the order in which they go, the first first, and how many of them the others make up for."""

    units: IntArray
    free: int


def products_of_channels(part: Part, weight: torch.Tensor, moments: Moments) -> torch.Tensor:
    """Return the mean products of what each two input channels add to the part's outputs, summed over its filters.

    Shape (convolution groups, channels of a group, channels of a group), in 64 bits.
    """
    filters = as_filters(part, weight)
    groups, _, channels, taps = filters.shape
    flat = filters.flatten(2)
    read = torch.from_numpy(np.asarray(moments[:, :-1, :-1], dtype=np.float64))
    products = (flat.transpose(1, 2) @ flat) * read
    return products.reshape(groups, channels, taps, channels, taps).sum(dim=(2, 4))


def contributions_of_units(evidence: Evidence) -> list[Scores]:
    """Return for each coupling group the mean products of what its units add to their readers, shape (units, units)."""
    structure = evidence.structure
    found = [np.zeros((group.units, group.units)) for group in structure.groups]
    parts = [part for part in readers(structure) if not part.kind.startswith("ConvTranspose")]
    known = within(parts, [width_of_filters(part) for part in parts], WIDEST, "relu-optimal")
    for part, moments in patch_moments(evidence, known, ROWS_PER_WEIGHT):
        assert part.incoming is not None  # noqa: S101  # a reader takes channels in; narrows the type
        weight = evidence.network.get_parameter(f"{part.path}.weight")
        products = products_of_channels(part, weight, moments).numpy()
        size = products.shape[1]
        for number, own in enumerate(products):
            groups, units = (
                each[number * size : (number + 1) * size] for each in (part.incoming.groups, part.incoming.units)
            )
            for group, total in enumerate(found):
                rows = np.flatnonzero(groups == group)
                np.add.at(total, (units[rows][:, np.newaxis], units[rows]), own[np.ix_(rows, rows)])
    return found


def elimination(products: Scores) -> Order:
    """Return the order in which units go: first those without which the others, scaled, add up to the same.

    Units that are needed for that are the support of a nonnegative solution whose units are independent, as the theory
    has it: at most as many as the products' rank, each scaled by a factor of 0 or more. Those of the rest that add
    least go first. From there on, each time the unit with the smallest residual b goes by beta = (b, -1 at the unit),
    divided by its largest entry: all are scaled by 1 - beta, and the largest one goes. Source: Mishkin and Pilanci,
    Optimal Sets and Solution Paths of ReLU Networks, arXiv 2306.00119.

    Args:
        products: Mean products of what units add to the outputs, shape (units, units).
    """
    scales = _solved(products, np.arange(len(products)))
    spare = np.flatnonzero(scales == 0)[:-1] if not scales.any() else np.flatnonzero(scales == 0)
    gone = spare[np.argsort(np.diag(products)[spare], kind="stable")].tolist()
    left = np.setdiff1d(np.arange(len(products)), spare)
    now = products * scales[:, np.newaxis] * scales
    while len(left) > 1:
        own = now[np.ix_(left, left)]
        inverse = scipy.linalg.pinvh(own)
        smallest = int(np.argmax(np.diag(inverse)))
        beta = inverse[:, smallest] / max(inverse[smallest, smallest], 1e-300)  # 1 at the unit, -b at the others
        largest = int(np.argmax(np.abs(beta)))
        factors = 1 - beta / beta[largest] if beta[largest] != 0 else np.ones(len(left))
        now[np.ix_(left, left)] = own * factors[:, np.newaxis] * factors
        gone.append(int(left[largest]))
        left = np.delete(left, largest)
    return Order(np.array([*gone, *left.tolist()], dtype=np.int64), len(spare))


def factors_for(products: Scores, staying: IntArray) -> Scores:
    """Return by which factors of 0 or more what stays adds up best to what all units added up to, shape (staying,).

    Args:
        products: As `elimination` takes them.
        staying: The units that stay.
    """
    return _solved(products, staying)


def _solved(products: Scores, staying: IntArray) -> Scores:
    """Return nonnegative least squares; whose units with factors above 0 are independent of each other."""
    values, vectors = scipy.linalg.eigh(products)
    own = values > ROUNDING * max(float(values[-1]), 1e-300)
    root = np.sqrt(values[own])[:, np.newaxis] * vectors[:, own].T
    if not own.any():
        return np.zeros(len(staying))
    found, _ = scipy.optimize.nnls(root[:, staying], root.sum(axis=1), maxiter=20 * len(products))
    return np.asarray(found, dtype=np.float64)


def free_widths(orders: Sequence[Order]) -> IntArray:
    """Return how many units of each group have to stay for outputs that do not change on the calibration images."""
    return np.array([len(order.units) - order.free for order in orders], dtype=np.int64)
