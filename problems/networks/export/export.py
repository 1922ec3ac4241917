"""Exporting a pruned network: write it, verify it in a fresh process, time it beside the unpruned one, say so."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from emoprune.contracts import Description
from emoprune.errors import ContractError
from emoprune.problems.networks.coupling.structure import Kept, Structure, Wiring
from emoprune.problems.networks.evaluation.scoring import LoadedImages, outputs_of
from emoprune.problems.networks.export.card import Measured, model_card
from emoprune.problems.networks.export.files import FORMATS, check_formats, write_json, write_network
from emoprune.problems.networks.export.verify import Verified
from emoprune.problems.networks.export.verify import verify as verified_in_fresh_process
from emoprune.problems.networks.export.writable import NarrowedOriginal, Writable, on_cpu, writable
from emoprune.problems.networks.variant import Variant
from emoprune.problems.storage.exported import about_folder

__all__ = ["export"]

TRIED = 8  # images that generated code is tried on

Counted = Mapping[str, float]


def export(
    folder: Path,
    *,
    source: str,
    networks: tuple[Variant, nn.Module],
    structure: Structure,
    kept: Kept,
    test: LoadedImages,
    counted: tuple[Counted, Counted],
    described: Description,
    formats: Sequence[str] = ("safetensors",),
    verify: bool = True,
    notes: Sequence[str] = (),
) -> Description:
    """Write a pruned network into `folder`, verify it, and return what was measured; pairs are (pruned, unpruned).

    Args:
        folder: Made if it is not there. After an error it may hold a part.
        source: The unpruned network's name or import target.
        networks: The pruned one as `Runner.settled` gives it, and the unpruned one, both in eval mode.
        structure: The unpruned network's coupling groups.
        kept: The units of each that stay; all of them where only values were changed.
        test: The images and labels of the test part.
        counted: Counted measures by name, such as macs, parameters and bytes.
        described: What a person reads about what stayed.
        formats: Some of safetensors, torch-export and onnx.
        verify: Whether a fresh process loads what was written, compares it with the evaluated network, and times both.
        notes: Sentences for the model card about how the network was made.

    Raises:
        ConfigError: A format is unknown, or cannot be written here or for this network.
        ContractError: The network's outputs are not finite, or a reloaded one is not the evaluated one.
        StorageError: The folder cannot be written.
    """
    check_formats(formats)
    pruned, unpruned, test = _where_it_is_reloaded(networks[0].network, networks[1], test)
    outputs = (outputs_of(pruned, test).cpu(), outputs_of(unpruned, test).cpu())
    if not torch.isfinite(outputs[0]).all():
        raise ContractError(
            "export: the network's outputs for the test images are not finite, so nothing could be compared with them; "
            "choose another candidate"
        )
    errors = (_error(outputs[0], test), _error(outputs[1], test))
    ready = writable(pruned, unpruned, source, test.batches[0][:TRIED])
    rows = [Measured("test error", *errors), *(_counted(name, counted) for name in counted[0])]
    plan = {"source": source, "made_with": _versions(), **_kept(structure, kept), "measured": _by_label(rows)}
    with about_folder(folder):
        write_network(folder, ready, formats, plan)
        verified: tuple[Verified, ...] = ()
        if verify:
            full = writable(unpruned, unpruned, source, test.batches[0][:TRIED])
            verified, more = _verified(folder, full, outputs, test, formats)
            write_json(folder / "verify.json", {each.name: _plain(each) for each in verified})
        else:
            more = [Measured(f"{name} file bytes", _size(folder, name), None) for name in formats]
        rows += more
        card = model_card(
            source, ready, described=described, rows=rows, formats=formats, verified=verified, notes=notes
        )
        (folder / "README.md").write_text(card, encoding="utf-8")
    return _said(rows, formats, verified)


def _where_it_is_reloaded(
    pruned: nn.Module, unpruned: nn.Module, test: LoadedImages
) -> tuple[nn.Module, nn.Module, LoadedImages]:
    """Return both networks and the images on the CPU: two devices differ by more than a reloaded network may."""
    if test.labels.device.type == "cpu":
        return pruned, unpruned, test
    images = LoadedImages(tuple(batch.cpu() for batch in test.batches), test.labels.cpu())
    return on_cpu(pruned), on_cpu(unpruned), images


def _counted(name: str, counted: tuple[Counted, Counted]) -> Measured:
    whole = [int(each[name]) if float(each[name]).is_integer() else each[name] for each in counted]
    return Measured(name, *whole)


def _error(outputs: torch.Tensor, test: LoadedImages) -> float:
    return int((outputs.argmax(dim=1) != test.labels.cpu()).sum()) / len(test.labels)


def _versions() -> dict[str, str]:
    return {"emoprune": version("emoprune"), "torch": torch.__version__}


def _kept(structure: Structure, kept: Kept) -> dict[str, Any]:
    """Say how wide each layer is, and which units of each coupling group stayed."""
    widths = {
        part.path: {"incoming": _width(part.incoming, kept), "outgoing": _width(part.outgoing, kept)}
        for part in structure.weighted
    }
    groups = {
        group.name: {
            "units": group.units,
            "kept": units.tolist(),
            "members": [f"{path} ({side})" for path, side in group.members],
        }
        for group, units in zip(structure.groups, kept, strict=True)
    }
    return {"widths": widths, "coupling_groups": groups}


def _width(wiring: Wiring | None, kept: Kept) -> int | None:
    return None if wiring is None else len(wiring.staying(kept))


def _by_label(rows: Sequence[Measured]) -> dict[str, dict[str, float | int | None]]:
    return {row.label: {"pruned": row.pruned, "unpruned": row.unpruned} for row in rows}


def _size(folder: Path, name: str) -> int:
    return (folder / FORMATS[name]).stat().st_size


def _verified(
    folder: Path,
    unpruned: Writable,
    outputs: tuple[torch.Tensor, torch.Tensor],
    test: LoadedImages,
    formats: Sequence[str],
) -> tuple[tuple[Verified, ...], list[Measured]]:
    """Verify what was written, and return its sizes and times beside those of the unpruned network."""
    code = unpruned.code
    places = [code.place] if isinstance(code, NarrowedOriginal) and code.place is not None else []
    with tempfile.TemporaryDirectory() as scratch:
        full = Path(scratch)
        write_network(full, unpruned, formats, {})
        verified = verified_in_fresh_process(
            (folder, full), outputs, test, formats, import_from=places, threads=torch.get_num_threads()
        )
        rows = [Measured(f"{name} file bytes", _size(folder, name), _size(full, name)) for name in formats]
    for each in verified:
        rows += [
            Measured(f"{each.name} milliseconds, batch of {size}", round(pruned.median, 4), round(unpruned.median, 4))
            for size, (pruned, unpruned) in each.timings.items()
        ]
    return verified, rows


def _plain(verified: Verified) -> dict[str, Any]:
    """Return all that was verified of one format as plain data."""
    plain = asdict(verified)
    timings = [
        {"network": name, **asdict(timing)}
        for pair in verified.timings.values()
        for name, timing in zip(("pruned", "unpruned"), pair, strict=True)
    ]
    return {**plain, "errors": dict(zip(("pruned", "unpruned"), verified.errors, strict=True)), "timings": timings}


def _said(rows: Sequence[Measured], formats: Sequence[str], verified: Sequence[Verified]) -> Description:
    said: dict[str, str | int | float] = {"formats": ", ".join(formats)}
    for row in rows:
        said[row.label] = row.pruned
        if row.unpruned is not None:
            said[f"{row.label} unpruned"] = row.unpruned
    for each in verified:
        said |= {
            f"{each.name} max abs difference": each.difference,
            f"{each.name} allowed difference": each.tolerance,
        }
    if verified:
        said |= {"test images": verified[0].images, "threads": torch.get_num_threads()}
    return said | {"verified": "in a fresh process without emoprune" if verified else "no"}
