"""Whether an exported language model writes the same text with a cache, in a padded batch, as the evaluated one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from emoprune.errors import ContractError
from emoprune.problems.networks.transformers.standalone.generating import apart, written
from emoprune.problems.networks.transformers.tasks.contract import Task
from emoprune.problems.networks.transformers.tasks.opening import Opened

__all__ = ["WritingOn"]

TOLERANCE = 1e-4  # of the largest logit
TOKENS = 8  # that are written
LONGEST = 16  # tokens of a prompt; of three prompts the second has two thirds, the third a third
ROWS = 3


@dataclass(frozen=True, slots=True, eq=False)
class WritingOn:
    """Prompts of several lengths, padded on the left, and what the evaluated model writes without a cache."""

    prompts: Mapping[str, torch.Tensor]
    wanted: Mapping[str, torch.Tensor]

    @classmethod
    def of(cls, model: Any, task: Task) -> WritingOn | None:
        """Return what a language model writes; None for a model that does not write on from tokens."""
        tokens = "input_ids" in task.parts["test"][0].inputs
        if not tokens or not hasattr(model, "generate") or not model.can_generate():
            return None
        prompts = _prompts(model, task)
        return cls(prompts, written(model, prompts, TOKENS, cached=False))

    @property
    def tokens(self) -> int:
        """How many tokens are written."""
        return int(self.wanted["tokens"].shape[1])

    @property
    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything by name, as the fresh process reads it."""
        named = {f"prompts.{name}": own for name, own in self.prompts.items()}
        return (
            named
            | {f"written.{name}": own.float() for name, own in self.wanted.items() if name == "logits"}
            | {"written.tokens": self.wanted["tokens"]}
        )

    @property
    def allowed(self) -> float:
        """By how much logits may differ."""
        return TOLERANCE * max(1.0, float(self.wanted["logits"].abs().max()))

    def judged(self, differences: Mapping[str, float], opened: Opened) -> str:
        """Say how the reloaded model wrote, by how much its logits differ for each way of loading it.

        Raises:
            ContractError: It writes something else, and the unpruned model does not.
        """
        for way, difference in differences.items():
            if difference <= self.allowed:
                continue
            of_unpruned = _of_unpruned(opened, self.prompts)
            if of_unpruned <= self.allowed:
                raise ContractError(
                    f"export: loaded by {way}, with a cache the model writes something else than the evaluated one: "
                    f"logits differ by {difference:.6g}, expected at most {self.allowed:.6g}; do not use it, and "
                    "report the model"
                )
            return (
                f"with a cache it differs from itself without one by {difference:.3g}, as the unpruned model does by "
                f"{of_unpruned:.3g}: transformers does not cache this architecture in padded batches"
            )
        return (
            f"{self.tokens} tokens in a batch of {ROWS} left-padded prompts, with a cache the same as without: logits "
            f"differ by at most {max(differences.values()):.3g}, {self.allowed:.3g} is allowed"
        )


def _prompts(model: Any, task: Task) -> dict[str, torch.Tensor]:
    ids = torch.cat([batch.inputs["input_ids"].cpu() for batch in task.parts["test"]])
    ids = ids[torch.arange(ROWS) % len(ids), :LONGEST]
    longest = ids.shape[1]
    mask = torch.ones_like(ids)
    for row in range(1, ROWS):
        mask[row, : longest * row // ROWS] = 0
    config = model.config
    pad = next((own for own in (config.pad_token_id, config.eos_token_id) if isinstance(own, int)), 0)
    return {"input_ids": ids.masked_fill(mask == 0, pad), "attention_mask": mask}


def _of_unpruned(opened: Opened, prompts: Mapping[str, torch.Tensor]) -> float:
    """Return by how much the unpruned model with a cache differs from itself without one."""
    model = opened.task.model
    without, found = (written(model, prompts, TOKENS, cached=cached) for cached in (False, True))
    return apart(found, without)
