"""How images are prepared for a pretrained model, as its folder says: resized, scaled, normalised."""

from __future__ import annotations

from typing import Any

from emoprune.errors import ConfigError
from emoprune.problems.language.loading import located_model, offline

__all__ = ["image_processor_of"]


def image_processor_of(name: str) -> Any | None:
    """Return the image processor of the model that `pretrained` loads by this name; None if its folder has none.

    It is in preprocessor_config.json, or in processor_config.json below `image_processor`.

    Raises:
        ConfigError: There is no such model, or its image processor cannot be loaded.
    """
    from transformers import AutoImageProcessor
    from transformers.models.auto.image_processing_auto import get_image_processor_config

    with located_model(name) as (_, where):
        if not get_image_processor_config(where, local_files_only=offline()):
            return None
        try:
            # Of the two ways in which transformers computes, this one is there wherever images can be read at all.
            return AutoImageProcessor.from_pretrained(
                where, backend="pil", trust_remote_code=False, local_files_only=offline()
            )
        except Exception as error:  # transformers raises many types; each means that this one is not read
            text = " ".join(str(error).split())[:300]
            raise ConfigError(
                f"model: the image processor of {name!r} cannot be loaded: {type(error).__name__}: {text}; mend its "
                "preprocessor_config.json, or own_conventions: false leaves the images as they are"
            ) from error
