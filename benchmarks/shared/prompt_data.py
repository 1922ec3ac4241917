"""Prompts and examples of the PromptQuine paper, from the folder that EMOPRUNE_DATA names, or an excerpt of them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from emoprune.errors import ConfigError
from emoprune.problems.prompts.tokens import PromptTokens

__all__ = ["SETS", "PromptSet"]

EXCERPT = Path(__file__).resolve().parents[2] / "tests" / "data" / "prompts"
MODEL = "smollm2"


@dataclass(frozen=True, slots=True)
class PromptSet:
    """One data set: its name, the words for its labels, and where its files are."""

    name: str
    words: Mapping[str, str]
    folder: Path

    @classmethod
    def of(cls, name: str, *, quick: bool) -> PromptSet:
        """Return a set.

        Raises:
            ConfigError: Its files are not there.
        """
        given = os.environ.get("EMOPRUNE_DATA")
        whole = Path(given) / "prompts" / name if given else None
        if whole is not None and (whole / "test.tsv").is_file():
            return cls(name, SETS[name], whole)
        if quick and (EXCERPT / name).is_dir():
            return cls(name, SETS[name], EXCERPT / name)
        raise ConfigError(
            f"expected prompts/{name}/test.tsv in the folder that EMOPRUNE_DATA names, found "
            f"{given or 'no such variable'}; tests/data/prompts/README.md says who publishes these files"
        )

    def prompts(self, shots: int) -> list[str]:
        """Return the natural prompts with so many demonstrations of each class."""
        lines = (self.folder / f"icl_prompts_{shots}shot.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line)["prompt"] for line in lines]

    def problem(self, prompt: str, **options: Any) -> PromptTokens:
        """Return the problem of pruning a prompt, on the first search rows, the dev rows and the test rows."""
        files = {"search": "train_16shot_seed0.tsv", "select": "dev.tsv", "test": "test.tsv"}
        examples = {part: str(self.folder / file) for part, file in files.items()}
        return PromptTokens(
            prompt=prompt,
            model=MODEL,
            examples=examples,
            verbalisers=self.words,
            accept_guessing=True,  # some of the natural prompts are hardly better, and every way is given them
            **options,
        )


SETS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "sst-2": {"0": "terrible", "1": "great"},
        "subj": {"0": "subjective", "1": "objective"},
        "agnews": {"0": "World", "1": "Sports", "2": "Business", "3": "Tech"},
    }
)
