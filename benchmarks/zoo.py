"""Which families of transformers can be pruned, exported, and loaded where; every one is held against a masked copy.

python benchmarks/zoo.py [--quick] [--no-record] [--rounds N]
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from shared.processes import alone, progress
from shared.recording import Report, Table, arguments, publish
from shared.zoo_loading import found_of

if TYPE_CHECKING:
    from shared.zoo_pruning import Exported

NOTES = """\
- Small models of 2 layers, 4 heads and 48 neurons or so, their weights drawn from a config. Of each, some heads and
  neurons go in every layer, and one layer loses all its heads. Nothing is repaired.
- Left: the share of the parameters, counted without building the model; the exported files hold as many.
- Difference: of the loaded model's outputs from those of the unpruned one with the same heads and neurons masked, as a
  share of the largest; both texts, and for language models also a batch that is padded on the left.
- Loads with: what loads the folder in a process in which emoprune was never imported and puts out the same.
- Same text: 8 tokens written greedily with a cache, padded on the left, are those of the masked model without a cache.
"""


def measure(part: Mapping[str, Any]) -> None:
    """Load every folder in this process and print what came of it."""
    sys.modules["emoprune"] = None  # type: ignore[assignment]  # the language allows None here: importing it fails
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(json.dumps({family: found_of(Path(folder)) for family, folder in part["folders"].items()}))


def table(done: Mapping[str, Exported | str], found: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return a row for each family."""
    rows: list[Sequence[str]] = []
    for family, own in done.items():
        if isinstance(own, str):
            rows.append((family, own, "-", "-", "-", "-", "0"))
            continue
        seen = found[family]
        text = {True: "yes", False: "no", None: "-"}[seen["same text"]]
        facts = (own.model_type, f"{own.left:.0%}", "yes" if seen["loads"] else "no", ", ".join(seen["loads"]) or "-")
        rows.append((family, *facts, text, f"{seen['difference']:.0e}"))
    columns = ("family", "model_type", "left", "exported", "loads with", "same text", "difference")
    return Table("Families that are pruned.", columns, rows)


def refused_table(said: Mapping[str, str]) -> Table:
    """Return what is said of each family that is refused."""
    rows = [(family, sentence.partition(";")[0].replace("|", "/")) for family, sentence in said.items()]
    return Table("Families that are refused before a run.", ("family", "what is said"), rows)


def main() -> None:
    """Prune, export, load, print and record."""
    parser = arguments(__doc__ or "", rounds=1)
    parser.add_argument("--alone", metavar="JSON", help="load folders in this process")
    chosen = parser.parse_args()
    if chosen.alone is not None:
        measure(json.loads(chosen.alone))
        return
    # Not at the top: the process that loads the folders runs this file, too, and must not import emoprune.
    from shared.zoo_models import QUICK, REFUSED, ZOO
    from shared.zoo_pruning import Exported, complaint_of, exported, write_data

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    done: dict[str, Exported | str] = {}
    families = {name: own for name, own in ZOO.items() if not chosen.quick or name in QUICK}
    refused = {} if chosen.quick else REFUSED
    with tempfile.TemporaryDirectory(prefix="zoo-") as place:
        data = write_data(Path(place))
        for family, own in families.items():
            progress(family)
            done[family] = exported(own, data, Path(place) / str(len(done)))
        folders = {name: str(own.folder) for name, own in done.items() if isinstance(own, Exported)}
        found = alone({"folders": folders})
        said = {family: complaint_of(own, data, Path(place) / f"refused-{family}") for family, own in refused.items()}
    tables = [table(done, found)] + ([refused_table(said)] if said else [])
    publish(Report("A zoo of transformers", tables, NOTES, ("emoprune", "torch", "transformers")), chosen)


if __name__ == "__main__":
    main()
