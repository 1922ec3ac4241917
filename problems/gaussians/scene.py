"""What Gaussians of images and of scenes have in common: tensors, views of them, and what is seen there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emoprune.problems.gaussians.drawing import Flat, blended, tiles_touched
from emoprune.space import IntArray

__all__ = ["Part", "Scene", "Tensors", "View", "picture_of", "seen", "taken", "tile_work"]

Tensors = Mapping[str, Tensor]  # a Gaussian per row
Part = Literal["fit", "search", "select", "test"]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Some pixels of one picture: their places, shape (n, 2), colours, (n, 3), and from where it is seen, if at all."""

    pixels: Tensor
    colours: Tensor
    rows: int
    columns: int
    camera: Any = None

    @property
    def everywhere(self) -> Tensor:
        """The places of all pixels of the picture, row after row, shape (rows * columns, 2)."""
        down, across = torch.meshgrid(torch.arange(self.rows), torch.arange(self.columns), indexing="ij")
        return torch.stack([across.ravel(), down.ravel()], dim=1).to(self.pixels.dtype)


class Scene(Protocol):
    """Gaussians and the pictures that they are to give."""

    @property
    def tensors(self) -> Tensors:
        """All Gaussians."""
        ...

    @property
    def views(self) -> Mapping[Part, Sequence[View]]:
        """What is seen in each part; no pixel is in two of them."""
        ...

    def flat(self, tensors: Tensors, view: View) -> Flat:
        """Return Gaussians as a view has them."""
        ...

    def opacities(self) -> NDArray[np.float64]:
        """Return the opacity of each Gaussian, shape (n,)."""
        ...

    def sizes(self) -> NDArray[np.float64]:
        """Return the largest deviation of each Gaussian, shape (n,)."""
        ...

    def write(self, tensors: Tensors, kept: IntArray, folder: Path) -> str:
        """Write Gaussians, verify them in a fresh process, and say what was written.

        Args:
            tensors: Those that are written, trained or not.
            kept: Which of all they are.
            folder: Where to.
        """
        ...


def taken(tensors: Tensors, kept: IntArray) -> dict[str, Tensor]:
    """Return some Gaussians."""
    places = torch.from_numpy(np.ascontiguousarray(kept))
    return {name: own[places] for name, own in tensors.items()}


def seen(scene: Scene, tensors: Tensors, part: Part) -> tuple[Tensor, Tensor]:
    """Return the colours that Gaussians give to the pixels of a part, and those that they should, (pixels, 3) each."""
    found = [blended(scene.flat(tensors, view), view.pixels) for view in scene.views[part]]
    return torch.cat(found), torch.cat([view.colours for view in scene.views[part]])


def tile_work(scene: Scene, tensors: Tensors, part: Part) -> float:
    """Return how many tiles all Gaussians touch together, the mean over the views of a part."""
    counts = [
        float(tiles_touched(scene.flat(tensors, view), view.rows, view.columns).sum()) for view in scene.views[part]
    ]
    return sum(counts) / len(counts)


def picture_of(scene: Scene, tensors: Tensors, view: View) -> NDArray[np.float32]:
    """Return the whole picture of a view, shape (rows, columns, 3)."""
    colours = blended(scene.flat(tensors, view), view.everywhere)
    found: NDArray[np.float32] = colours.detach().reshape(view.rows, view.columns, 3).numpy()
    return found
