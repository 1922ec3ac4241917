"""An image as Gaussians, which are fitted to it here."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emoprune.errors import ConfigError, ContractError
from emoprune.plugins import find, is_import_target
from emoprune.problems.compute.fresh_process import run_script
from emoprune.problems.gaussians.drawing import Flat, blended
from emoprune.problems.gaussians.scene import Part, Tensors, View
from emoprune.problems.gaussians.standalone.splats import load_splats
from emoprune.problems.storage.located import located
from emoprune.space import IntArray

__all__ = ["BUILT_IN", "ImageScene", "fitted", "image_named", "part_pixels", "verify", "views_of"]

FloatArray = NDArray[np.float64]

BUILT_IN = ("china", "flower", "digit", "rings", "checks")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
SHARES: Mapping[Part, float] = {"fit": 0.55, "search": 0.15, "select": 0.15, "test": 0.15}
STANDALONE = "emoprune.problems.gaussians.standalone"
ALLOWED = 1e-3  # of 1, for single precision against double
RATES = {"centres": 0.3, "logs": 0.03, "angles": 0.03, "opacities": 0.05, "colours": 0.02}


def image_named(name: str, size: int) -> FloatArray:
    """Return an image, size by size, from 0 to 1, shape (size, size, 3).

    Raises:
        ConfigError: There is none of that name, it cannot be read, or has one colour alone.
    """
    pixels = _built_in(name, size) if name in BUILT_IN else _given(name, size)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or not np.isfinite(pixels).all():
        raise ConfigError(f"data: expected an image of shape (rows, columns, 3), found {pixels.shape}")
    if np.ptp(pixels.reshape(-1, 3), axis=0).max() < 1 / 255:
        raise ConfigError(f"data: {name}: expected an image of several colours, found one; one Gaussian would do")
    return pixels


def _built_in(name: str, size: int) -> FloatArray:
    if name in ("china", "flower"):
        from sklearn.datasets import load_sample_image

        return _resized(load_sample_image(f"{name}.jpg"), size)
    if name == "digit":
        from sklearn.datasets import load_digits

        digit = load_digits().images[3] / 16 * 255
        return _resized(np.repeat(digit[:, :, np.newaxis], 3, axis=2).astype(np.uint8), size)
    down, across = np.mgrid[:size, :size] / size
    if name == "rings":
        waves = 0.5 + 0.5 * np.sin(30 * np.hypot(down - 0.4, across - 0.6))
        return np.stack([waves, waves * across, down], axis=2)
    checks = ((down * 6).astype(int) + (across * 6).astype(int)) % 2
    return np.stack([0.2 + 0.6 * checks, 0.8 - 0.5 * checks, 0.3 + 0.4 * down], axis=2)


def _given(name: str, size: int) -> FloatArray:
    from PIL import Image, UnidentifiedImageError

    if is_import_target(name):
        return np.asarray(find("data", name)(), dtype=np.float64)
    path = located(name)
    if path is None or path.suffix.lower() not in SUFFIXES:
        raise ConfigError(
            f"data: expected {', '.join(BUILT_IN)}, scene, a .ply, {', '.join(SUFFIXES)} file here or beside the "
            f"config, or an import target package.module:function, found {name!r}"
        )
    try:
        return _resized(np.asarray(Image.open(path).convert("RGB")), size)
    except (OSError, UnidentifiedImageError) as error:
        raise ConfigError(f"data: {name} cannot be read as an image: {error}; give another file") from error


def _resized(pixels: NDArray[np.uint8], size: int) -> FloatArray:
    """Return the largest square in the middle, size by size."""
    from PIL import Image

    side = min(pixels.shape[:2])
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    square = Image.fromarray(np.ascontiguousarray(pixels[top : top + side, left : left + side]))
    return np.asarray(square.resize((size, size)), dtype=np.float64) / 255


def part_pixels(count: int) -> dict[Part, int]:
    """Return how many of so many pixels each part has."""
    ends = np.round(np.cumsum(list(SHARES.values())) * count).astype(np.int64)
    return dict(zip(SHARES, np.diff(ends, prepend=0).tolist(), strict=True))


def views_of(pixels: FloatArray, seed: int) -> dict[Part, Sequence[View]]:
    """Return an image cut into four parts at random, pixel by pixel."""
    rows, columns, _ = pixels.shape
    order = np.random.default_rng([seed, 3]).permutation(rows * columns)
    ends = np.cumsum(list(part_pixels(len(order)).values()))
    colours = torch.from_numpy(pixels.reshape(-1, 3)).float()
    found: dict[Part, Sequence[View]] = {}
    for part, places in zip(SHARES, np.split(order, ends[:-1]), strict=True):
        own = torch.from_numpy(np.sort(places))
        where = torch.stack([own % columns, own // columns], dim=1).float()
        found[part] = (View(where, colours[own], rows, columns),)
    return found


def _flat(tensors: Tensors) -> Flat:
    cos, sin = torch.cos(tensors["angles"]), torch.sin(tensors["angles"])
    turned = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    scaled = turned * torch.exp(tensors["logs"])[:, None, :]
    return Flat(
        tensors["centres"],
        scaled @ scaled.transpose(1, 2),
        torch.sigmoid(tensors["opacities"]),
        tensors["colours"],
        torch.arange(len(tensors["angles"])),
    )


def fitted(pixels: FloatArray, count: int, steps: int, seed: int) -> dict[str, NDArray[np.float32]]:
    """Return Gaussians that were fitted to the `fit` part of an image's pixels by Adam, as arrays by name.

    They begin at pixels of that part, more of them where colours change.
    """
    (view,) = views_of(pixels, seed)["fit"]
    rng = np.random.default_rng([seed, 5])
    down, across = np.gradient(pixels.mean(axis=2))
    steepness = np.hypot(down, across).ravel()
    own = (view.pixels[:, 1] * view.columns + view.pixels[:, 0]).long().numpy()
    chance = steepness[own] + steepness.mean() + 1e-9
    chosen = rng.choice(len(own), min(count, len(own)), replace=False, p=chance / chance.sum())
    spread = 0.7 * np.sqrt(view.rows * view.columns / count)
    tensors: dict[str, Tensor] = {
        "centres": view.pixels[chosen].clone(),
        "logs": torch.from_numpy(np.log(spread) + 0.3 * rng.normal(size=(len(chosen), 2))).float(),
        "angles": torch.from_numpy(rng.uniform(0, np.pi, len(chosen))).float(),
        "opacities": torch.full((len(chosen),), 0.5),
        "colours": view.colours[chosen].clone(),
    }
    for each in tensors.values():
        each.requires_grad_(True)
    optimiser = torch.optim.Adam([{"params": [tensors[name]], "lr": rate} for name, rate in RATES.items()])
    for _ in range(steps):
        optimiser.zero_grad()
        loss = torch.mean(torch.square(blended(_flat(tensors), view.pixels) - view.colours))
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it so
        optimiser.step()
        with torch.no_grad():
            tensors["logs"].clamp_(min=-1.0, max=float(np.log(view.rows / 2)))
    return {name: each.detach().numpy() for name, each in tensors.items()}


@dataclass(frozen=True, slots=True, eq=False)
class ImageScene:
    """Gaussians of an image, front to back in their order."""

    tensors: Tensors
    views: Mapping[Part, Sequence[View]]

    def flat(self, tensors: Tensors, view: View) -> Flat:  # noqa: ARG002  # an image is seen from one place
        """Return the Gaussians in the image."""
        return _flat(tensors)

    def opacities(self) -> FloatArray:
        """Return the opacity of each Gaussian."""
        return torch.sigmoid(self.tensors["opacities"]).double().numpy()

    def sizes(self) -> FloatArray:
        """Return the largest deviation of each Gaussian in pixels."""
        return torch.exp(self.tensors["logs"]).amax(dim=1).double().numpy()

    def write(self, tensors: Tensors, kept: IntArray, folder: Path) -> str:  # noqa: ARG002  # only points know more than their tensors
        """Write splats.npz, splats.py, which draws them, and image.png.

        Raises:
            ContractError: A fresh process draws another image.
        """
        from PIL import Image

        view = self.views["fit"][0]
        arrays = {
            "centres": tensors["centres"],
            "deviations": torch.exp(tensors["logs"]),
            "angles": tensors["angles"],
            "opacities": torch.sigmoid(tensors["opacities"]),
            "colours": tensors["colours"],
        }
        plain = {name: each.detach().numpy() for name, each in arrays.items()}
        np.savez_compressed(folder / "splats.npz", size=np.array([view.rows, view.columns]), **plain)  # type: ignore[arg-type]  # its stub takes allow_pickle for an array
        with as_file(files(STANDALONE) / "splats.py") as script:
            shutil.copyfile(script, folder / "splats.py")
        drawn = load_splats(folder).image()
        Image.fromarray(np.round(np.clip(drawn, 0, 1) * 255).astype(np.uint8)).save(folder / "image.png")
        expected = blended(_flat(tensors), view.everywhere).detach().numpy().reshape(drawn.shape)
        verify(folder, expected, "image")
        return "splats.npz, splats.py, image.png"


def verify(folder: Path, expected: NDArray[np.generic], what: str) -> None:
    """Compare what a fresh process loads with what was evaluated.

    Raises:
        ContractError: They differ.
    """

    def write_inputs(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, expected=expected)

    with as_file(files(STANDALONE) / "verify.py") as script:
        found = run_script(script, {"folder": str(folder.resolve()), "what": what}, write_inputs, 60.0)
    if not found["difference"] <= ALLOWED:
        raise ContractError(
            f"export: the reloaded {what} differs by {found['difference']:.3g} from what was evaluated; do not use it"
        )
    if found["emoprune"]:
        raise ContractError("export: what was exported imported emoprune, expected it to need numpy alone")
