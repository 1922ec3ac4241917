"""Exporting a treated network: what is measured of it, the formats, and the page that says what lies in the folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from emoprune.contracts import Description, Failure
from emoprune.errors import ContractError
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.evaluation.scoring import error_of
from emoprune.problems.networks.layers.packed import Treated, verify_packed, write_packed
from emoprune.records import Split

__all__ = ["export_packed"]

TRIED = 8  # images on which the written code is tried


def export_packed(
    folder: Path,
    treated: Treated,
    bench: Bench,
    *,
    source: str,
    described: Description,
    counted: tuple[Mapping[str, float], Mapping[str, float]],
    verify: bool,
) -> Description:
    """Write a treated network packed, with a PACKED.md about it, and return what was measured and verified.

    Args:
        folder: Where to.
        treated: The network.
        bench: Holds the test images.
        source: The unpruned network's name.
        described: What a person reads of each layer.
        counted: The counted measures of the network and of the unpruned one.
        verify: Load it in a fresh process and compare.

    Raises:
        ContractError: The outputs are not finite, or what was written is not the network.
    """
    measured = _measured(treated, bench, counted)
    images = bench.images[Split.TEST].batches[0][:TRIED]
    about = {"source": source, "kept": dict(described), "measured": measured}
    reason = write_packed(folder, treated, images, about)
    found: dict[str, str | int | float] = {**measured, "packed bytes": treated.counted_bytes}
    if verify:
        found |= verify_packed(folder, treated.network, images)
    (folder / "PACKED.md").write_text(_card(source, described, found, reason), encoding="utf-8")
    return found


def _measured(
    treated: Treated, bench: Bench, counted: tuple[Mapping[str, float], Mapping[str, float]]
) -> dict[str, str | int | float]:
    """Return error on the test part and counted measures, each beside the unpruned network's."""
    measured: dict[str, str | int | float] = {}
    for label, network in (("test error", treated.network), ("test error unpruned", treated.unpruned)):
        error = error_of(network, bench.images[Split.TEST])
        if isinstance(error, Failure):
            raise ContractError(f"cannot be exported: test: {error.reason}")
        measured[label] = error
    for name, count in counted[0].items():
        measured |= {name: int(count), f"{name} unpruned": int(counted[1][name])}
    return measured


def _card(source: str, described: Description, found: Description, reason: str | None) -> str:
    loading = (
        "`from unpack import load_network` in this folder; `load_network()` returns the network in eval mode."
        if reason is None
        else f"There is no code of the network here ({reason}). Build it with your own code, and load the state_dict "
        "that `from unpack import unpack; unpack()` returns."
    )
    lines = [
        f"# {source}, its weights zeroed or rounded layer by layer",
        "",
        "packed.safetensors holds the weights in the bytes that were counted; packed.json says how each is unfolded.",
        f"Needs torch, numpy and safetensors. {loading}",
        "",
        "Unfolded, all tensors have their full shapes as 32-bit floats: the folder is smaller, a dense kernel runs no",
        "faster. Multiply-accumulates and parameters count weights that are not zero.",
        "",
        *_table("Measured", found),
        *_table("Layers", described),
    ]
    return "\n".join(lines)


def _table(title: str, rows: Description) -> list[str]:
    return [f"## {title}", "", "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items()), ""]
