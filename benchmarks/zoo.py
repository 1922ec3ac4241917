"""Which families of transformers can be pruned, exported, and loaded where; every one is held against a masked copy.

python benchmarks/zoo.py [--quick] [--no-record] [--rounds N]
"""

from __future__ import annotations

import json
import os
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
- Small models of 2 layers, 4 heads and 48 neurons or so, their weights drawn. Of each, some heads and neurons go in
  every layer, and one layer loses all its heads; in a second form, the first layer is gone and the others are whole.
  Nothing is repaired.
- Left: the share of the parameters in the first form.
- Loads with: what loads the folder, in a process in which emoprune cannot be imported, to the outputs of the unpruned
  model with the same heads and neurons masked: its own load.py, `from_pretrained` with the code in the folder
  (trust_remote_code), or plain `from_pretrained`, which is tried wherever the folder needs no code.
- Same text: 8 tokens written greedily with a cache after a batch padded on the left, by both forms, are those of the
  masked model without a cache.
- Difference: the largest, of both forms' outputs, as a share of the largest output.
"""


def measure(part: Mapping[str, Any]) -> None:
    """Load every folder in this process and print what came of it."""
    sys.modules["emoprune"] = None  # type: ignore[assignment]  # the language allows None here: importing it fails
    os.environ["HF_MODULES_CACHE"] = part["modules"]  # where transformers copies the folders' code to
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    found = {family: [found_of(Path(folder)) for folder in folders] for family, folders in part["folders"].items()}
    print(json.dumps(found))


def table(done: Mapping[str, Exported | str], found: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """Return a row for each family."""
    rows: list[Sequence[str]] = []
    for family, own in done.items():
        if isinstance(own, str):
            rows.append((family, own, "-", "no", "-", "-", "-", "0"))
            continue
        forms = found[family]
        ways = [", ".join(each["loads"]) or "nothing" for each in forms]
        texts = [each["same text"] for each in forms if each["same text"] is not None]
        text = ("yes" if all(texts) else "no") if texts else "-"
        whole = "yes" if all(each["loads"] for each in forms) else "no"
        less = ways[1] if len(ways) > 1 else "-"
        difference = max(each["difference"] for each in forms)
        rows.append((family, own.model_type, f"{own.left[0]:.0%}", whole, ways[0], less, text, f"{difference:.0e}"))
    columns = ("family", "model_type", "left", "exported", "loads with", "a layer less", "same text", "difference")
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
        folders = {name: list(map(str, own.folders)) for name, own in done.items() if isinstance(own, Exported)}
        found = alone({"folders": folders, "modules": str(Path(place) / "modules")})
        said = {family: complaint_of(own, data, Path(place) / f"refused-{family}") for family, own in refused.items()}
    tables = [table(done, found)] + ([refused_table(said)] if said else [])
    publish(Report("A zoo of transformers", tables, NOTES, ("emoprune", "torch", "transformers")), chosen)


if __name__ == "__main__":
    main()
