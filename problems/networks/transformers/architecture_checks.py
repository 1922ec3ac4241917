"""What an architecture's description promises, tried on its own small model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.transformers.anatomy.checking import check_narrowing
from emoprune.problems.networks.transformers.anatomy.description import Architecture
from emoprune.problems.networks.transformers.anatomy.finding import anatomy_of
from emoprune.problems.networks.transformers.anatomy.narrowing import Narrower
from emoprune.problems.networks.transformers.anatomy.reloading import check_reloading
from emoprune.problems.networks.transformers.anatomy.structure import Anatomy, BlockPlan
from emoprune.problems.networks.transformers.cost import CostModel
from emoprune.problems.networks.transformers.running.checking import check_layers

__all__ = ["check_architecture", "drawn_plans", "small_inputs"]

TOKENS, GENOMES = 12, 4


def check_architecture(make: Callable[[], Architecture]) -> None:
    """Try an architecture on its small model.

    Args:
        make: Makes it.

    Raises:
        ContractError: Opened or narrowed, the model does not put out what it must, has other parameters than were
            counted, or could not be loaded again.
    """
    own = make()
    model = own.tiny()
    inputs = small_inputs(model)
    with torch.no_grad():
        before = model(**inputs)[0]
    try:
        anatomy = anatomy_of(model, own.layer(model.config))
        _same_as_before(before, model(**inputs)[0])
        check_narrowing(model, anatomy, inputs)
        check_layers(Narrower(model, anatomy), inputs)
        check_reloading(model, anatomy, lambda: type(model)(model.config))
    except ConfigError as error:
        raise ContractError(f"architecture: {error}") from error
    _counted(model, anatomy, inputs)


def small_inputs(model: Any) -> dict[str, torch.Tensor]:
    """Return two examples for a small model: images, or sentences of which the second is shorter."""
    generator = torch.Generator().manual_seed(0)
    config = model.config
    if model.main_input_name == "pixel_values":
        size = config.image_size
        return {"pixel_values": torch.randn(2, config.num_channels, size, size, generator=generator)}
    ids = torch.randint(3, config.vocab_size, (2, TOKENS), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, TOKENS // 2 :] = 0
    if config.is_encoder_decoder:  # classifiers look at where a sentence ends
        ids[0, -1] = ids[1, TOKENS // 2 - 1] = config.eos_token_id
    return {"input_ids": ids, "attention_mask": mask}


def drawn_plans(anatomy: Anatomy, seed: int) -> list[BlockPlan]:
    """Return plans that keep any heads and neurons of every layer."""
    rng, plans = np.random.default_rng(seed), []
    for block in anatomy.blocks:
        heads = np.flatnonzero(rng.random(block.attention.heads) < rng.random())
        neurons = np.flatnonzero(rng.random(block.neurons) < rng.random())
        plans.append(BlockPlan.keeping(heads, neurons))
    return plans


def _same_as_before(before: torch.Tensor, opened: torch.Tensor) -> None:
    if not torch.allclose(before, opened, rtol=1e-4, atol=1e-4):
        raise ContractError(
            "architecture: expected the opened model to put out what it did, found outputs that differ by "
            f"{float((before - opened).abs().max()):.3g}; look at the order of the fused parts"
        )


def _counted(model: Any, anatomy: Anatomy, inputs: dict[str, torch.Tensor]) -> None:
    cost = CostModel(model, anatomy, {name: own[:1] for name, own in inputs.items()}, TOKENS)
    for seed in range(GENOMES):
        plans = drawn_plans(anatomy, seed)
        unique = {id(own): own.numel() for own in Narrower(model, anatomy).narrowed(plans).parameters()}
        counted = cost.counted(plans)["parameters"]
        if sum(unique.values()) != counted:
            raise ContractError(f"architecture: expected {counted:,.0f} parameters, found {sum(unique.values()):,}")
