"""Point files as 3D Gaussian splatting writes them; needs numpy, nothing else.

from ply import read_ply
points = read_ply("point_cloud.ply")  # a structured array: x, y, z, opacity, scale_0, rot_0, f_dc_0, ...
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PARTS = (("scale", 3), ("rot", 4), ("f_dc", 3))
NEEDED = ("x", "y", "z", "opacity", *(f"{name}_{place}" for name, many in _PARTS for place in range(many)))
WRITTEN = {
    "float": "f4",
    "double": "f8",
    "uchar": "u1",
    "char": "i1",
    "ushort": "u2",
    "short": "i2",
    "uint": "u4",
    "int": "i4",
}
OTHERS = {
    "float32": "f4",
    "float64": "f8",
    "uint8": "u1",
    "int8": "i1",
    "uint16": "u2",
    "int16": "i2",
    "uint32": "u4",
    "int32": "i4",
}
TYPES = {**WRITTEN, **OTHERS}
ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}
END = b"end_header\n"


def read_ply(path: Path | str) -> NDArray[Any]:
    """Return the vertices of a point file as a structured array, one field per property.

    Raises:
        ValueError: It is no such file, is cut off, or lacks a property of Gaussians.
    """
    content = Path(path).read_bytes()
    head, found, body = content.partition(END)
    lines = head.decode("ascii", errors="replace").replace("\r", "").split("\n")
    if lines[0] != "ply" or not found:
        raise ValueError("expected a header from 'ply' to 'end_header', found none")
    form = next((line.split()[1] for line in lines if line.startswith("format ") and len(line.split()) > 1), "")
    if form not in (*ORDERS, "ascii"):
        raise ValueError(f"expected the format ascii, {' or '.join(ORDERS)}, found {form!r}")
    count, fields = _vertices(lines)
    missing = [name for name in NEEDED if name not in [own for own, _ in fields]]
    if missing:
        raise ValueError(f"expected the properties of Gaussians, found none called {', '.join(missing)}")
    kind = np.dtype([(name, ORDERS.get(form, "<") + code) for name, code in fields])
    points = _written_out(body, count, kind) if form == "ascii" else _packed(body, count, kind)
    wrong = [name for name in NEEDED if not np.isfinite(points[name]).all()]
    if wrong:
        raise ValueError(f"expected finite numbers, found others in {', '.join(wrong)}")
    return points


def _vertices(lines: list[str]) -> tuple[int, list[tuple[str, str]]]:
    """Return how many vertices there are, and the name and type of each of their properties."""
    words = [line.split() for line in lines]
    elements = [place for place, each in enumerate(words) if each[:1] == ["element"]]
    if not elements or words[elements[0]][1:2] != ["vertex"] or not words[elements[0]][-1].isdigit():
        raise ValueError("expected vertices and their number as the first element, found none")
    last = elements[1] if len(elements) > 1 else len(words)
    own = [each for each in words[elements[0] + 1 : last] if each[:1] == ["property"]]
    wrong = [" ".join(each) for each in own if len(each) != 3 or each[1] not in TYPES]
    if wrong:
        raise ValueError(f"expected properties with a type and a name, found {wrong[0]!r}")
    return int(words[elements[0]][-1]), [(each[2], TYPES[each[1]]) for each in own]


def _packed(body: bytes, count: int, kind: np.dtype[Any]) -> NDArray[Any]:
    if len(body) < count * kind.itemsize:
        raise ValueError(f"expected {count} vertices of {kind.itemsize} bytes, found {len(body)} bytes: it is cut off")
    return np.frombuffer(body, kind, count)


def _written_out(body: bytes, count: int, kind: np.dtype[Any]) -> NDArray[Any]:
    rows = body.decode("ascii", errors="replace").split("\n")[:count]
    if len(rows) < count or any(len(row.split()) != len(kind.names or ()) for row in rows):
        raise ValueError(f"expected {count} lines of {len(kind.names or ())} numbers, found fewer: it is cut off")
    return np.array([tuple(map(float, row.split())) for row in rows], dtype=kind)


def write_ply(path: Path | str, points: NDArray[Any]) -> None:
    """Write vertices as packed little-endian numbers, with all of their properties."""
    names = {code: name for name, code in WRITTEN.items()}
    kind = np.dtype([(name, "<" + points.dtype[name].str[1:]) for name in points.dtype.names or ()])
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(points)}"]
    lines += [f"property {names[points.dtype[name].str[1:]]} {name}" for name in points.dtype.names or ()]
    Path(path).write_bytes("\n".join(lines).encode() + b"\n" + END + points.astype(kind).tobytes())
