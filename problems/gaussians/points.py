"""A scene of Gaussians in space, as 3D Gaussian splatting writes it, seen from cameras around it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emoprune.errors import ConfigError
from emoprune.problems.gaussians.drawing import Flat, blended
from emoprune.problems.gaussians.harmonics import BAND_0, colours_towards
from emoprune.problems.gaussians.images import STANDALONE, verify
from emoprune.problems.gaussians.scene import Part, Tensors, View
from emoprune.problems.gaussians.standalone.ply import read_ply, write_ply
from emoprune.problems.storage.located import located
from emoprune.space import IntArray

__all__ = ["Camera", "PointScene", "made_points", "points_named", "view_pixels"]

FloatArray = NDArray[np.float64]

AROUND: Mapping[Part, int] = {"fit": 3, "search": 2, "select": 2, "test": 2}  # cameras of each part
NEAREST = 0.2  # in front of a camera, of what is still drawn
BLUR = 0.3  # squares of pixels that a pixel adds to every Gaussian
SCENE = "scene"


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """A pinhole: turns the world by `turn` (3, 3), moves it by `move` (3,), and has a focal length in pixels."""

    turn: Tensor
    move: Tensor
    focal: float

    @property
    def place(self) -> Tensor:
        """Where it stands in the world, shape (3,)."""
        return -self.turn.T @ self.move


def view_pixels(size: int) -> dict[Part, int]:
    """Return how many pixels the views of each part have together."""
    return {part: many * size**2 for part, many in AROUND.items()}


def made_points(count: int = 300, seed: int = 0) -> NDArray[Any]:
    """Return a scene made here: a ball of small Gaussians whose surface hides those inside, over a flat ground."""
    rng = np.random.default_rng(seed)
    names = ["x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2"]
    names += [f"rot_{place}" for place in range(4)]
    points = np.zeros(count, dtype=[(name, "<f4") for name in names])
    ball, inside = 2 * count // 3, count // 6
    way = rng.normal(size=(ball, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    far = np.where(np.arange(ball) < inside, 0.4 * rng.random(ball), 1.0)
    places = np.concatenate([way * far[:, None], rng.uniform(-1.6, 1.6, (count - ball, 3))])
    places[ball:, 1] = 1.1
    colours = 0.5 + 0.5 * np.sin(3 * places + np.array([0.0, 2.0, 4.0]))
    for axis, name in enumerate("xyz"):
        points[name] = places[:, axis]
        points[f"f_dc_{axis}"] = (colours[:, axis] - 0.5) / BAND_0
        points[f"scale_{axis}"] = np.log(rng.uniform(0.1, 0.22, count))
    points["scale_1"][ball:] = np.log(0.03)
    points["opacity"] = np.where(np.arange(count) % 7 == 6, -1.5, 3.0) + 0.3 * rng.normal(size=count)
    turns = rng.normal(size=(count, 4))
    turns[ball:] = [1.0, 0.0, 0.0, 0.0]
    for place in range(4):
        points[f"rot_{place}"] = turns[:, place]
    return points


def points_named(name: str) -> NDArray[Any]:
    """Return the points of a file, or of the scene that is made here.

    Raises:
        ConfigError: There is no such file, or it cannot be read as Gaussians.
    """
    if name == SCENE:
        return made_points()
    path = located(name)
    if path is None:
        raise ConfigError(f"data: there is no file {name!r} here or beside the config; give a .ply file, or {SCENE}")
    try:
        points = read_ply(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"data: {name} cannot be read as a point file: {error}; give another file") from error
    if len(points) < 2:
        raise ConfigError(f"data: {name}: expected two Gaussians or more, found {len(points)}")
    return points


def _tensors(points: NDArray[Any]) -> dict[str, Tensor]:
    def columns(*names: str) -> Tensor:
        return torch.from_numpy(np.stack([points[name].astype(np.float32) for name in names], axis=1))

    found = {
        "places": columns("x", "y", "z"),
        "logs": columns("scale_0", "scale_1", "scale_2"),
        "turns": columns("rot_0", "rot_1", "rot_2", "rot_3"),
        "opacities": columns("opacity")[:, 0],
        "plain": columns("f_dc_0", "f_dc_1", "f_dc_2"),
    }
    rest = sum(name.startswith("f_rest_") for name in points.dtype.names or ())
    if rest:
        found["rest"] = columns(*(f"f_rest_{place}" for place in range(rest))).reshape(len(points), 3, rest // 3)
    return found


def _turned(turns: Tensor) -> Tensor:
    """Return the rotations of quaternions, real part first, shape (n, 4) to (n, 3, 3)."""
    w, x, y, z = (turns / turns.norm(dim=1, keepdim=True).clamp(min=1e-12)).unbind(dim=1)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)


@dataclass(frozen=True, slots=True, eq=False)
class PointScene:
    """Gaussians in space; what pictures are to show is what all of them show."""

    points: NDArray[Any]
    tensors: Tensors
    views: Mapping[Part, Sequence[View]]

    @classmethod
    def of(cls, points: NDArray[Any], size: int) -> PointScene:
        """Return a scene with cameras on a ring around it, others for each part, and pictures of `size` squared."""
        tensors = _tensors(points)
        unseen = cls(points, tensors, {})
        cameras = iter(_ring(tensors["places"], sum(AROUND.values()), size))
        views = {part: tuple(unseen._view(next(cameras), size) for _ in range(many)) for part, many in AROUND.items()}
        return cls(points, tensors, views)

    def _view(self, camera: Camera, size: int) -> View:
        empty = View(torch.zeros((0, 2)), torch.zeros((0, 3)), size, size, camera)
        pixels = empty.everywhere
        with torch.no_grad():
            return View(pixels, blended(self.flat(self.tensors, empty), pixels), size, size, camera)

    def flat(self, tensors: Tensors, view: View) -> Flat:
        """Return the Gaussians before a camera, the nearest first, covariances projected by their local affine maps."""
        camera: Camera = view.camera
        local = tensors["places"] @ camera.turn.T + camera.move
        order = torch.argsort(local[:, 2], stable=True)
        order = order[local[order, 2] > NEAREST]
        x, y, z = local[order].unbind(dim=1)
        none = torch.zeros_like(x)
        slopes = torch.stack(
            [torch.stack([1 / z, none, -x / z**2], dim=1), torch.stack([none, 1 / z, -y / z**2], dim=1)], dim=1
        )
        shape = _turned(tensors["turns"][order]) * torch.exp(tensors["logs"][order])[:, None, :]
        mapped = camera.focal * slopes @ camera.turn @ shape
        middle = torch.tensor([(view.columns - 1) / 2, (view.rows - 1) / 2])
        return Flat(
            camera.focal * torch.stack([x / z, y / z], dim=1) + middle,
            mapped @ mapped.transpose(1, 2) + BLUR * torch.eye(2),
            torch.sigmoid(tensors["opacities"][order]),
            colours_towards(tensors, tensors["places"] - camera.place)[order],
            order,
        )

    def opacities(self) -> FloatArray:
        """Return the opacity of each Gaussian."""
        return torch.sigmoid(self.tensors["opacities"]).double().numpy()

    def sizes(self) -> FloatArray:
        """Return the largest deviation of each Gaussian."""
        return torch.exp(self.tensors["logs"]).amax(dim=1).double().numpy()

    def write(self, tensors: Tensors, kept: IntArray, folder: Path) -> str:
        """Write point_cloud.ply, with all properties that the Gaussians came with, and ply.py, which reads it.

        Raises:
            ContractError: A fresh process reads other points.
        """
        points = self.points[kept].copy()
        points["opacity"] = tensors["opacities"].detach().numpy()
        for axis in range(3):
            points[f"scale_{axis}"] = tensors["logs"].detach().numpy()[:, axis]
        write_ply(folder / "point_cloud.ply", points)
        with as_file(files(STANDALONE) / "ply.py") as script:
            shutil.copyfile(script, folder / "ply.py")
        verify(folder, points, "points")
        return "point_cloud.ply, ply.py"


def _ring(places: Tensor, count: int, size: int) -> list[Camera]:
    """Return cameras on a ring around the middle of all places, looking at it slightly from above; parts take turns."""
    middle = places.median(dim=0).values
    reach = torch.quantile((places - middle).norm(dim=1), 0.9)
    found = []
    for turn in np.arange(count) * 2.399963:  # the golden angle, so that those that follow each other lie apart
        eye = middle + 2.5 * reach * torch.tensor([np.cos(turn), -0.35, np.sin(turn)]).float()
        ahead = (middle - eye) / (middle - eye).norm()
        right = torch.linalg.cross(ahead, torch.tensor([0.0, -1.0, 0.0]))
        right = right / right.norm()
        turned = torch.stack([right, torch.linalg.cross(ahead, right), ahead])
        found.append(Camera(turned, -turned @ eye, 1.1 * size))
    return found
