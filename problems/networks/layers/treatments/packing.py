"""Treated weights as few bytes: exactly as many as were counted while searching."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from emoprune.errors import ContractError
from emoprune.problems.networks.coupling.structure import Part
from emoprune.problems.networks.layers.treatments.bits import Rounding, codes_and_scales
from emoprune.problems.networks.layers.treatments.contract import Treatment
from emoprune.problems.networks.layers.treatments.patterns import Patterns
from emoprune.problems.networks.layers.treatments.repaired import Repaired

__all__ = ["Packed", "packed"]

VALUES = ("values", "outside", "outer", "inner")  # the roles of arrays that hold weights as they are
Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """One layer's weight as stored: the form, what it takes to unfold it beside the arrays, and the arrays.

    Forms: `dense` (values), `mask` (one bit per weight, values), `places` (32-bit places, values), `pattern` (the place
    of each value among its M, values, and the weights outside of patterns), `wrapped` (a pattern between an outer and
    an inner factor), `codes` (b-bit codes, scales).
    """

    form: str
    facts: dict[str, int | list[int]]
    arrays: Arrays

    def tensors(self, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """Return the arrays as they are stored, weights as numbers of `dtype`."""
        found = {role: torch.as_tensor(array) for role, array in self.arrays.items()}
        return {role: own.to(dtype) if role in VALUES else own for role, own in found.items()}


def packed(treatment: Treatment, part: Part, weight: torch.Tensor, treated: torch.Tensor, level: int) -> Packed:
    """Return the weight as treated at `level` in the form with the counted bytes; `weight` is the untreated one.

    Raises:
        ContractError: It takes other bytes than were counted.
    """
    array = treated.detach().cpu().contiguous().numpy()
    left = treatment.left(part, array.shape, level)
    untouched = level == len(treatment.labels) - 1
    wrapping = treatment if isinstance(treatment, Repaired) and treatment.block(part, array.shape) is not None else None
    treatment = treatment.base if isinstance(treatment, Repaired) else treatment
    facts: dict[str, int | list[int]] = {"shape": list(array.shape)}
    if untouched or left.stored_bytes >= array.size * treatment.dtype.itemsize:
        made = Packed("dense", facts, {"values": array})
    elif wrapping is not None and isinstance(treatment, Patterns):
        made = _wrapped(wrapping.factors(part, weight.detach().cpu(), level), treatment.m, level + 1, facts)
    elif isinstance(treatment, Rounding):
        made = _codes(part, weight, treatment.bits[level], facts)
    elif isinstance(treatment, Patterns):
        made = _pattern(part, array, treatment.m, level + 1, facts)
    else:
        made = _sparse(array, left.nonzeros, facts)
    taken = sum(own.nbytes for own in made.tensors(treatment.dtype).values())
    if taken != left.stored_bytes:
        raise ContractError(
            f"layer {part.path!r}: {left.stored_bytes} bytes were counted, its packed form takes {taken}"
        )
    return made


def _sparse(array: NDArray[np.float32], nonzeros: int, facts: dict[str, int | list[int]]) -> Packed:
    flat = array.ravel()
    # A weight that is zero by itself may be among those that stay: fill up with such to the counted number.
    order = np.argsort(flat == 0, kind="stable")[:nonzeros]
    places = np.sort(order)
    if nonzeros * 4 < -(-flat.size // 8):
        return Packed("places", facts, {"places": places.astype(np.int32), "values": flat[places]})
    mask = np.zeros(flat.size, dtype=np.uint8)
    mask[places] = 1
    return Packed("mask", facts, {"mask": np.packbits(mask), "values": flat[places]})


def _pattern(part: Part, array: NDArray[np.float32], m: int, n: int, facts: dict[str, int | list[int]]) -> Packed:
    axis = 0 if part.kind.startswith("ConvTranspose") else 1
    last = np.moveaxis(array, axis, -1)
    blocks = last.shape[-1] // m
    inside = last[..., : blocks * m].reshape(-1, m)
    places = np.sort(np.argsort(inside == 0, axis=1, kind="stable")[:, :n], axis=1)
    values = np.take_along_axis(inside, places, axis=1)
    width = (m - 1).bit_length()
    arrays: Arrays = {"places": _packed_bits(places.ravel(), width), "values": values.ravel()}
    outside = np.ascontiguousarray(last[..., blocks * m :]).ravel()
    if outside.size:
        arrays["outside"] = outside
    return Packed("pattern", {**facts, "axis": axis, "m": m, "n": n, "width": width}, arrays)


def _wrapped(
    factors: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
    m: int,
    n: int,
    facts: dict[str, int | list[int]],
) -> Packed:
    outer, core, inner = factors
    width = (m - 1).bit_length()
    inside = core.reshape(-1, m)
    places = np.sort(np.argsort(inside == 0, axis=1, kind="stable")[:, :n], axis=1)
    arrays: Arrays = {
        "places": _packed_bits(places.ravel(), width),
        "values": np.take_along_axis(inside, places, axis=1).ravel(),
        "outer": outer,
        "inner": inner,
    }
    return Packed("wrapped", {**facts, "matrix": list(core.shape), "m": m, "n": n, "width": width}, arrays)


def _codes(part: Part, weight: torch.Tensor, bits: int, facts: dict[str, int | list[int]]) -> Packed:
    codes, scales = codes_and_scales(part, weight.detach().cpu(), bits)
    raised = codes.numpy().ravel().astype(np.int64) + 2 ** (bits - 1) - 1
    arrays: Arrays = {"codes": _packed_bits(raised, bits), "scales": scales.numpy().astype(np.float32).ravel()}
    return Packed("codes", {**facts, "bits": bits, "scale_shape": list(scales.shape)}, arrays)


def _packed_bits(numbers: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
    """Return whole numbers below 2^width, `width` bits each, least significant first, without gaps."""
    bits = (numbers[:, None] >> np.arange(width)) & 1
    return np.packbits(bits.astype(np.uint8).ravel())
