"""Images as a model's own image processor prepares them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.language.quiet import quiet
from emoprune.problems.networks.data.images import FloatImages

__all__ = ["ProcessedImages"]


class ProcessedImages:
    """Prepares images by a model's image processor: a `Preparation`.

    Args:
        processor: transformers' own.
        channels: How many the model takes; grey images become as many, all alike.
    """

    def __init__(self, processor: Any, channels: int) -> None:
        self._processor = processor
        self._channels = channels

    @property
    def resizes(self) -> bool:
        """Whether images of another size are brought to that of the model."""
        return bool(getattr(self._processor, "do_resize", False))

    def __call__(self, images: Sequence[NDArray[np.generic]]) -> Sequence[FloatImages]:
        """Return images as the model takes them, from images of shape (channels, height, width) in 0 to 255.

        Raises:
            ConfigError: The processor cannot prepare them.
        """
        given = [self._in_channels(image) for image in images]
        resized = [not self._fits(image) for image in given]
        given = [_bytes(image) if resize else image for image, resize in zip(given, resized, strict=True)]
        more: dict[str, Any] = {**self._for_one_channel(), **({} if any(resized) else {"do_resize": False})}
        try:
            with quiet():
                found = self._processor(given, input_data_format="channels_first", **more)["pixel_values"]
        except Exception as error:  # whatever a processor raises, it cannot prepare these images
            raise ConfigError(
                f"model: its image processor cannot prepare images of shape {given[0].shape}: {type(error).__name__}: "
                f"{' '.join(str(error).split())[:200]}; mend its preprocessor_config.json, or own_conventions: false "
                "leaves the images as they are"
            ) from error
        return [np.asarray(image, dtype=np.float32) for image in found]

    def _in_channels(self, image: NDArray[np.generic]) -> NDArray[np.generic]:
        return np.repeat(image, self._channels, axis=0) if image.shape[0] == 1 else image

    def _for_one_channel(self) -> dict[str, Any]:
        """Return mean and deviation of grey images, of a processor that has the same ones for three channels."""
        found = {name: getattr(self._processor, name, None) for name in ("image_mean", "image_std")}
        alike = all(isinstance(own, Sequence) and len(set(own)) == 1 for own in found.values())
        return {name: [own[0]] for name, own in found.items() if own} if self._channels == 1 and alike else {}

    def _fits(self, image: NDArray[np.generic]) -> bool:
        size = getattr(self._processor, "size", None)
        return size is not None and (size.height, size.width) == image.shape[1:]


def _bytes(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return an image as bytes, as Pillow resizes them."""
    return np.rint(image.astype(np.float32)).clip(0, 255).astype(np.uint8)
