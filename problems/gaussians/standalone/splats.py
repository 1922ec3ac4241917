"""Flat splats drawn as an image; needs numpy, nothing else.

from splats import load_splats
pixels = load_splats().image().clip(0, 1)  # shape (rows, columns, 3)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
REACH = 4.5  # half the square of three deviations: further out a splat adds nothing
FAINTEST, MOST = 1 / 255, 0.99  # of the light that one splat takes from a pixel

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Splats:
    """Gaussians in an image, front to back: centres and deviations in pixels, angles, opacities and colours."""

    centres: FloatArray
    deviations: FloatArray
    angles: FloatArray
    opacities: FloatArray
    colours: FloatArray
    rows: int
    columns: int

    def image(self) -> FloatArray:
        """Return the image, shape (rows, columns, 3), from 0 to 1, and a little beyond where colours add up to more."""
        down, across = np.mgrid[: self.rows, : self.columns].astype(np.float64)
        light = np.ones((self.rows, self.columns))
        found = np.zeros((self.rows, self.columns, 3))
        parts = zip(self.centres, self.deviations, self.angles, self.opacities, self.colours, strict=True)
        for (x, y), (long, short), angle, opacity, colour in parts:
            right, up = across - x, down - y
            along = (np.cos(angle) * right + np.sin(angle) * up) / long
            beside = (np.cos(angle) * up - np.sin(angle) * right) / short
            power = 0.5 * (along**2 + beside**2)
            taken = np.minimum(opacity * np.exp(-power), MOST)
            taken = np.where((power <= REACH) & (taken >= FAINTEST), taken, 0.0)
            found += (light * taken)[:, :, np.newaxis] * colour
            light = light * (1 - taken)
        return found


def load_splats(folder: Path | str = HERE) -> Splats:
    """Return the splats of splats.npz in `folder`."""
    with np.load(Path(folder) / "splats.npz", allow_pickle=False) as stored:
        arrays = {name: stored[name].astype(np.float64) for name in stored.files if name != "size"}
        rows, columns = stored["size"].tolist()
        return Splats(**arrays, rows=rows, columns=columns)
