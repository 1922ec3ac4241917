"""Small transformers and a few tokens to try a criterion on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from emoprune.problems.compute.device import seeded
from emoprune.problems.language.loading import LoadedModel, Source
from emoprune.problems.networks.transformers.anatomy.finding import anatomy_of
from emoprune.problems.networks.transformers.anatomy.structure import Anatomy
from emoprune.problems.networks.transformers.criteria.contract import Scores, TransformerEvidence
from emoprune.problems.networks.transformers.data.batches import CALIBRATION, Batch
from emoprune.problems.networks.transformers.standalone.mixtures import unfused
from emoprune.problems.networks.transformers.tasks.language import LanguageTask

__all__ = ["sample_evidences"]

VOCABULARY, LENGTH, WINDOWS = 20, 6, 5


def sample_evidences() -> tuple[TransformerEvidence, ...]:
    """Return what a criterion can be tried on: models in 64 bits with shared keys, and with a mixture of experts."""
    return tuple(_evidence(seed, experts=experts) for seed, experts in ((1, False), (2, True)))


def _evidence(seed: int, *, experts: bool) -> TransformerEvidence:
    model = unfused(_model(seed, experts=experts)).double().eval().requires_grad_(requires_grad=False)
    anatomy, generator = anatomy_of(model), torch.Generator().manual_seed(seed)
    windows = torch.randint(VOCABULARY, (WINDOWS, LENGTH), generator=generator)
    batches = tuple(Batch({"input_ids": ids}, torch.zeros(len(ids))) for ids in torch.split(windows, 2))
    source = Source("sample", "drawn", "llama", type(model).__name__, VOCABULARY)
    task = LanguageTask(LoadedModel(model, None, source), {CALIBRATION: batches}, LENGTH)
    return TransformerEvidence(task, anatomy, batches, _costs(anatomy), seed)


def _model(seed: int, *, experts: bool) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM, MixtralConfig, MixtralForCausalLM

    sizes = {
        "vocab_size": VOCABULARY,
        "hidden_size": 16,
        "intermediate_size": 10,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.3,
    }
    with seeded(seed):
        if experts:
            return MixtralForCausalLM(MixtralConfig(**sizes, num_local_experts=3, num_experts_per_tok=2))
        return LlamaForCausalLM(LlamaConfig(**sizes))


def _costs(anatomy: Anatomy) -> list[Scores]:
    return [np.ones(units) for units in anatomy.units]
