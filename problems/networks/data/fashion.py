"""Fashion-MNIST: 70,000 grey pictures of clothes, 28 x 28 pixels, ten classes; from a package or a folder."""

from __future__ import annotations

import os
from pathlib import Path

from emoprune.errors import ConfigError
from emoprune.problems.networks.data.idx import IDX_FILES, holds_idx, idx_data
from emoprune.problems.networks.data.images import ImageData
from emoprune.problems.networks.data.preparing import Preparation

__all__ = ["fashion"]

_NAME = "fashion-mnist"
_PACKAGED = Path("/usr/share/datasets") / _NAME


def fashion(image_size: int | None = None, preparation: Preparation | None = None) -> ImageData:
    """Return Fashion-MNIST: 50,000 images to train on, 2,500 to search on, 2,500 to choose on, 10,000 to test on.

    It is looked for in `$EMOPRUNE_DATA/fashion-mnist` and where Debian's package puts it. Pixels have mean 0 and
    variance 1 over the training part, or are as `preparation` makes them; a larger `image_size` adds a black border.

    Source: Xiao et al., Fashion-MNIST, arXiv 1708.07747.

    Raises:
        ConfigError: It is not installed.
    """
    places = _places()
    found = next((place for place in places if holds_idx(place)), None)
    if found is None:
        raise ConfigError(
            f"data: Fashion-MNIST is in none of {', '.join(map(str, places))}; run `apt-get install "
            f"dataset-fashion-mnist`, or put {', '.join(f'{name}.gz' for name in IDX_FILES)} into a folder and give "
            f"its path as `data`, or as {_NAME} in the folder that EMOPRUNE_DATA names"
        )
    return idx_data(found, image_size, preparation)


def _places() -> tuple[Path, ...]:
    own = os.environ.get("EMOPRUNE_DATA")
    return (Path(own) / _NAME, _PACKAGED) if own else (_PACKAGED,)
