"""Names in a config to networks and data: a built-in name, a folder, or an import target `package.module:function`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import nn

from emoprune.errors import ConfigError
from emoprune.plugins import find, is_import_target, nearest
from emoprune.problems.compute.device import seeded
from emoprune.problems.networks.data.checking import checked
from emoprune.problems.networks.data.digits import digits
from emoprune.problems.networks.data.fashion import fashion
from emoprune.problems.networks.data.given import at_most, given_data
from emoprune.problems.networks.data.idx import holds_idx, idx_data
from emoprune.problems.networks.data.image_folder import image_folder
from emoprune.problems.networks.data.images import ImageData
from emoprune.problems.networks.data.mnist_5k import mnist_5k
from emoprune.problems.networks.unpruned.built_in.catalogue import NETWORKS
from emoprune.problems.networks.unpruned.plain import folded, unwrapped
from emoprune.problems.networks.unpruned.user_code import called, watched
from emoprune.problems.storage.located import located

__all__ = ["DATA", "data_named", "network_named"]

DATA: Mapping[str, Callable[[int | None], ImageData]] = MappingProxyType(
    {"digits": digits, "fashion": fashion, "mnist-5k": mnist_5k}
)


_READING = 20_070  # the seed under which a user's data are read, whatever the run's seed is


def network_named(name: str, *, fold: bool = True) -> nn.Module:
    """Return a new network, without wrappers around it.

    Args:
        name: A built-in name, or an import target.
        fold: Whether weights that are computed from others, by masks or norms, are stored as they are used.

    Raises:
        ConfigError: There is no such network, what the import target returns is not a torch module, or it is scripted.
    """
    if name in NETWORKS:
        return NETWORKS[name].make()
    if not is_import_target(name):
        raise ConfigError(
            f"network: no network is called {name!r}; expected {_listed(NETWORKS)} or an import target "
            f"package.module:function{nearest(name, list(NETWORKS))}"
        )
    made = called("network", name, _imported("network", name))
    if not isinstance(made, nn.Module):
        raise ConfigError(f"network: expected {name!r} to return a torch.nn.Module, found {type(made).__name__}")
    return folded(unwrapped(made)) if fold else unwrapped(made)


def data_named(name: str, *, image_size: int | None = None, images_per_part: int | None = None) -> ImageData:
    """Return labelled images in four parts, checked, with notes on what a user should know about them.

    Args:
        name: A built-in name; a folder of images by class, or of four IDX files, found from here or beside the config;
            or an import target of a function without arguments.
        image_size: Resize the images of a folder to so many pixels both ways; the built-in sets get a black border.
        images_per_part: Keep at most so many images of each part.

    Raises:
        ConfigError: There is no such data, or it cannot be used.
    """
    for option, value in (("image_size", image_size), ("images_per_part", images_per_part)):
        if value is not None and value < 1:
            raise ConfigError(f"{option}: expected at least 1, found {value}")
    return checked(_data(name, image_size, images_per_part))


def _data(name: str, image_size: int | None, images_per_part: int | None) -> ImageData:
    if name in DATA:
        return at_most(DATA[name](image_size), images_per_part)
    if is_import_target(name):
        if image_size is not None:
            raise ConfigError(f"image_size: expected a folder of images as data, found {name!r}; resize them in there")
        function = _imported("data", name)
        # A loader's code runs when it is read, not when it is made; one that shuffles must read the same every time,
        # because a run is only resumed on the very data it was begun with.
        with watched("data", name), seeded(_READING):
            return given_data(function(), name, images_per_part)
    folder = located(name)
    if folder is None or not folder.is_dir():
        raise ConfigError(
            f"data: no data is called {name!r}, and there is no such folder here or beside the config; expected "
            f"{_listed(DATA)}, a folder of images, or an import target package.module:function"
            f"{nearest(name, list(DATA))}"
        )
    if holds_idx(folder):
        return at_most(idx_data(folder, image_size), images_per_part)
    return image_folder(folder, image_size, images_per_part)


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(map(repr, names))


def _imported(option: str, target: str) -> Callable[[], object]:
    try:
        return find(option, target)
    except ConfigError as error:
        raise ConfigError(f"{option}: {error}") from error.__cause__
