"""A model and its optimiser at one moment, kept as safetensors, so that training goes back there or goes on from it."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save
from torch import nn

from emoprune.space import IntArray
from emoprune.storage import write_atomically

__all__ = ["State", "Thetas", "folder_of"]

_log = logging.getLogger("emoprune")

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Parameters and buffers, what the optimiser remembers of them, and what else is remembered, all by name."""

    model: Tensors
    optimiser: Tensors = field(default_factory=dict)
    others: Tensors = field(default_factory=dict)

    @classmethod
    def of(
        cls, model: nn.Module, optimiser: torch.optim.Optimizer | None = None, others: Tensors | None = None
    ) -> State:
        """Return a copy of what they are now."""
        remembered = {} if optimiser is None else optimiser.state_dict()["state"]
        tensors = {f"{number}.{name}": own for number, row in remembered.items() for name, own in row.items()}
        kept = {name: own for name, own in tensors.items() if isinstance(own, torch.Tensor)}
        return cls(_copies(model.state_dict()), _copies(kept), _copies(others or {}))

    def into(self, model: nn.Module, optimiser: torch.optim.Optimizer | None = None) -> None:
        """Set a model, and an optimiser of it, back to this state."""
        model.load_state_dict(dict(self.model))
        if optimiser is not None:
            rows: dict[int, dict[str, torch.Tensor]] = {}
            for name, own in self.optimiser.items():
                number, _, key = name.partition(".")
                rows.setdefault(int(number), {})[key] = own.clone()
            optimiser.load_state_dict({**optimiser.state_dict(), "state": rows})


@dataclass(slots=True, eq=False)
class Thetas:
    """States by name, in a folder, or in memory where there is none.

    Args:
        folder: Made when the first state is kept.
        key: What the states depend on; those that were kept under another key are not found.
    """

    folder: Path | None
    key: str = ""
    _known: dict[str, tuple[State, dict[str, Any]]] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path | None, key: str) -> Thetas:
        """Return those of this key, which lie in a folder of their own."""
        return cls(None if folder is None else folder / hashlib.sha256(key.encode()).hexdigest()[:16], key)

    def keep(self, name: str, state: State, **words: Any) -> None:
        """Keep a state and plain data, whole or not at all."""
        if self.folder is None:
            self._known[name] = (state, words)
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        groups = {"model": state.model, "optimiser": state.optimiser, "others": state.others}
        tensors = {f"{group}/{key}": own for group, each in groups.items() for key, own in each.items()}
        content = save(tensors, {"words": json.dumps(words), "key": self.key})
        write_atomically(self._path(name), content)

    def find(self, name: str, device: torch.device | str = "cpu") -> tuple[State, dict[str, Any]] | None:
        """Return what was kept by that name, None where nothing was, under another key, or where it was torn."""
        if self.folder is None:
            return self._known.get(name)
        if not self._path(name).exists():
            return None
        try:
            with safetensors.safe_open(self._path(name), "pt", device=str(device)) as file:
                about = file.metadata() or {}
                tensors = {own: file.get_tensor(own) for own in file.keys()}  # noqa: SIM118  # it is no mapping
        except (OSError, safetensors.SafetensorError) as error:
            _log.warning("%s cannot be read (%s) and is made again", self._path(name).name, error)
            return None
        if about.get("key") != self.key:
            return None
        return State(*(_group(tensors, each) for each in ("model", "optimiser", "others"))), json.loads(about["words"])

    def forget(self, name: str) -> None:
        """Keep a state no longer."""
        if self.folder is None:
            self._known.pop(name, None)
        else:
            self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        assert self.folder is not None  # noqa: S101  # asked before; narrows the type
        return self.folder / f"{name}.safetensors"


def folder_of(prepared: Path | None, genome: IntArray) -> Path | None:
    """Return where the trainings of a genome keep their states, below what was prepared for a run."""
    digest = hashlib.sha256(genome.astype("int64").tobytes()).hexdigest()[:16]
    return None if prepared is None else prepared / "rounds" / digest


def _copies(tensors: Tensors) -> dict[str, torch.Tensor]:
    return {name: own.detach().clone(memory_format=torch.contiguous_format) for name, own in tensors.items()}


def _group(tensors: Tensors, group: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(f"{group}/"): own for name, own in tensors.items() if name.startswith(f"{group}/")}
