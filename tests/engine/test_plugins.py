from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from emoprune import plugins
from emoprune.errors import ConfigError, ContractError


class Explained:
    """Grips.

    Args:
        width: How wide,
            in two lines.
        grip: How firm: always firm.

    Raises:
        ValueError: Never.
    """

    def grip(self) -> None:
        """Grip."""


@dataclass(frozen=True)
class Tongs:
    """Grips genes.

    More words.
    """

    width: int
    grip: Annotated[float, Field(ge=0, le=1)] = 0.5
    mode: Literal["soft", "hard"] = "soft"
    places: tuple[int, ...] = ()
    where: Path | None = None
    names: list[str] = field(default_factory=lambda: ["left"])
    hidden: object = field(default_factory=object)


class Plain:
    def __init__(self, *, size: int = 3) -> None:
        self.size = size


def unreadable(size: NotImportedAnywhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821  # the point of the test


TONGS = "test_plugins:Tongs"


@pytest.fixture(autouse=True)
def _importable_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this file the name under which an import target finds it."""
    monkeypatch.setitem(sys.modules, "test_plugins", sys.modules[__name__])


def installed(folder: Path, entry_points: str, name: str = "stranger") -> None:
    """Write what pip leaves behind of an installed package."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)


class TestNames:
    def test_the_built_in_operators_are_found_by_kind_and_name(self) -> None:
        assert list(plugins.available("crossover")) == ["mask-intersection", "one-point", "two-point", "uniform"]
        assert plugins.find("crossover", "uniform").__name__ == "UniformCrossover"

    def test_a_strangers_plug_in_is_found_like_a_built_in_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "stranger_operators.py").write_text("class Swap:\n    '''Swaps.'''\n")
        installed(tmp_path, "[emoprune.operators]\nmutation.swap = stranger_operators:Swap\n")
        monkeypatch.syspath_prepend(tmp_path)
        assert "swap" in plugins.available("mutation")
        assert plugins.summary(plugins.find("mutation", "swap")) == "Swaps."

    def test_two_packages_that_claim_one_name_are_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        installed(tmp_path, "[emoprune.problems]\ntwin = a:A\n", "first")
        installed(tmp_path, "[emoprune.problems]\ntwin = b:B\n", "second")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(ConfigError, match=r"two installed packages offer 'twin' in emoprune.problems: .*uninstall"):
            plugins.available("problem")

    def test_a_name_that_another_package_has_for_one_problem_alone_is_refused_where_both_serve_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "rival.py").write_text(
            "class Mine:\n    '''Is not meant.'''\n\n    def __call__(self, evidence): ...\n"
        )
        points = "[emoprune.criteria]\nchannels.l1 = rival:Mine\nfeature-subset.l1 = rival:Mine\n"
        installed(tmp_path, points + "[emoprune.references]\nuniform = rival:Mine\nerk = nowhere:Mine\n", "rival")
        monkeypatch.syspath_prepend(tmp_path)
        for kind, name in (("criterion", "l1"), ("reference", "uniform")):
            with pytest.raises(ConfigError, match=rf" both offer a {kind} '{name}' to channels: .*uninstall one"):
                plugins.method(kind, name, "channels")
        assert type(plugins.method("criterion", "l1", "feature-subset")).__name__ == "Mine", "the other serves channels"
        assert type(plugins.method("reference", "erk", "channels")).__name__ == "Erk", "the other cannot be imported"

    def test_a_missing_extra_is_named_with_the_command_that_installs_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        installed(tmp_path, "[emoprune.problems]\nheavy = heavy_library_nobody_has:Problem [big]\n")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(ConfigError, match=r"'heavy' cannot be imported: .*; install it with: pip install 'strang"):
            plugins.find("problem", "heavy")

    def test_an_entry_point_to_a_missing_class_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        installed(tmp_path, "[emoprune.problems]\nhollow = json:NoSuchClass\n")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(ConfigError, match=r"problem 'hollow' cannot be imported: .*NoSuchClass"):
            plugins.find("problem", "hollow")

    def test_an_unknown_name_gets_the_nearest_one(self) -> None:
        with pytest.raises(ConfigError, match=r"no crossover is called 'unifrom'; did you mean 'uniform'\?$"):
            plugins.find("crossover", "unifrom")

    def test_an_unknown_name_near_none_gets_all_there_are(self) -> None:
        with pytest.raises(ConfigError, match=r"'zzz' .there are: mask-intersection, one-point, two-point, uniform.$"):
            plugins.find("crossover", "zzz")

    def test_a_name_of_another_kind_says_of_which(self) -> None:
        with pytest.raises(ConfigError, match=r"no mutation is called 'latin'.*; 'latin' is a sampling$"):
            plugins.find("mutation", "latin")


class TestImportTargets:
    def test_an_import_target_names_a_module_and_a_class(self) -> None:
        assert plugins.is_import_target("package.module:Name")
        assert not plugins.is_import_target("uniform")
        assert plugins.find("problem", "collections:OrderedDict").__name__ == "OrderedDict"

    def test_a_problem_handed_over_as_an_object_is_no_import_target(self) -> None:
        assert plugins.is_given("given:Thing")
        assert not plugins.is_import_target("given:Thing")

    def test_a_missing_class_gets_the_nearest_one(self) -> None:
        with pytest.raises(ConfigError, match=r"has no class or function 'OrderdDict'; did you mean 'OrderedDict'\?"):
            plugins.find("problem", "collections:OrderdDict")

    @pytest.mark.parametrize("target", [":Name", "..:Name", "a b:Name", "os;x:Name", "colon:", "colon:a b", "os:a.b"])
    def test_what_is_no_target_is_refused_and_nothing_is_imported(self, target: str) -> None:
        with pytest.raises(ConfigError, match=r"expected an import target such as 'package.module:Name', found"):
            plugins.find("problem", target)
        assert plugins.import_target(target) is None

    def test_the_importer_says_what_it_would_import(self) -> None:
        assert plugins.import_target("package.module:Name") == ("package.module", "Name")
        assert plugins.import_target("ünïcode.𝒳:名") == ("ünïcode.𝒳", "名")
        for text in ("given:Thing", "uniform", "Review: {text}", "http://here:8000/v1", "here:6379", "a:b:c"):
            assert plugins.import_target(text) is None

    def test_folders_are_searched_only_for_a_while(self, tmp_path: Path) -> None:
        (tmp_path / "found_for_a_while.py").write_text("class Name: ...\n")
        with pytest.raises(ConfigError, match="cannot import 'found_for_a_while'"):
            plugins.find("problem", "found_for_a_while:Name")
        before = list(sys.path)
        with plugins.importable_from(tmp_path):
            assert plugins.find("problem", "found_for_a_while:Name").__name__ == "Name"
        assert sys.path == before

    def test_what_lies_in_such_a_folder_never_shadows_what_is_installed(self, tmp_path: Path) -> None:
        (tmp_path / "colorsys.py").write_text("raise AssertionError\n")
        sys.modules.pop("colorsys", None)
        first = sys.path[0]
        with plugins.importable_from(tmp_path, Path(first or ".")):
            assert plugins.find("problem", "colorsys:rgb_to_hsv").__module__ == "colorsys"
            assert sys.path[-1] == str(tmp_path)
        assert sys.path[0] == first

    def test_a_module_that_ends_the_program_when_it_is_imported_does_not(self, tmp_path: Path) -> None:
        (tmp_path / "leaves_at_once.py").write_text("import sys\n\ndef leave():\n    sys.exit(0)\n\nleave()\n")
        said = r"a plug-in called sys\.exit\(0\) in leave \(leaves_at_once\.py:4\)"
        with pytest.raises(ContractError, match=said), plugins.importable_from(tmp_path):
            plugins.find("problem", "leaves_at_once:Name")


class TestOptions:
    def test_options_are_checked_and_turned_into_what_the_plug_in_declares(self) -> None:
        options = {"width": 3, "grip": 1, "mode": "hard", "places": [1, 2], "where": "a/b"}
        tongs = plugins.build("problem", TONGS, options)
        assert (tongs.width, tongs.grip, tongs.mode, tongs.places) == (3, 1.0, "hard", (1, 2))
        assert tongs.where == Path("a/b")

    def test_an_option_that_is_not_given_keeps_the_plug_ins_own_default(self) -> None:
        first, second = (plugins.build("problem", TONGS, {"width": 3}) for _ in range(2))
        assert first.names == second.names == ["left"]
        assert first.names is not second.names

    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            ({}, "width\n  Field required"),
            ({"width": 3, "with": 4}, "with\n  Extra inputs are not permitted"),
            ({"width": "3"}, "width\n  Input should be a valid integer"),
            ({"width": True}, "width\n  Input should be a valid integer"),
            ({"width": 3, "grip": 1.5}, "grip\n  Input should be less than or equal to 1"),
            ({"width": 3, "mode": "sfot"}, "mode\n  Input should be 'soft' or 'hard'"),
            ({"width": 3, "places": 4}, "places\n  Input should be a valid"),
        ],
    )
    def test_wrong_options_are_refused_before_the_plug_in_is_made(
        self, options: dict[str, object], complaint: str
    ) -> None:
        with pytest.raises(ValidationError, match=complaint):
            plugins.build("problem", TONGS, options)

    def test_settled_options_are_plain_and_hold_every_default_that_can_be_written(self) -> None:
        assert plugins.settled("problem", TONGS, {"width": 3, "where": "a"}) == {
            "width": 3,
            "grip": 0.5,
            "mode": "soft",
            "places": [],
            "where": "a",
            "names": ["left"],
        }

    def test_a_class_with_keyword_arguments_needs_nothing_else(self) -> None:
        assert plugins.build("problem", "test_plugins:Plain", {"size": 4}).size == 4
        assert plugins.build("problem", "test_plugins:Plain", {}).size == 3

    def test_annotations_that_cannot_be_read_are_the_plug_ins_fault(self) -> None:
        with pytest.raises(ContractError, match=r"unreadable: its arguments cannot be read as options: .*; annotate"):
            plugins.options_model(unreadable)

    def test_a_plug_in_made_for_another_says_what_is_wrong_in_one_error(self) -> None:
        assert plugins.made("criterion", TONGS, {"width": 3}).width == 3
        with pytest.raises(
            ConfigError, match=r"criterion 'test_plugins:Tongs': widht: unknown option of criterion"
        ) as e:
            plugins.made("criterion", TONGS, {"widht": 3, "grip": 2})
        assert str(e.value).splitlines()[1:] == [
            f"criterion '{TONGS}': grip: expected a number from 0 to 1, found 2",
            f"criterion '{TONGS}': widht: unknown option of criterion '{TONGS}'; did you mean 'width'?",
        ]

    def test_every_built_in_plug_in_can_be_made_with_its_settled_options(self) -> None:
        for kind in plugins.OPERATOR_KINDS:
            for name in plugins.available(kind):
                required = {"share": 0.5} if name == "cost-bound" else {}
                settled = plugins.settled(kind, name, required)
                assert plugins.build(kind, name, settled) == plugins.build(kind, name, required)

    def test_a_summary_is_the_first_line_of_the_documentation(self) -> None:
        assert plugins.summary(Tongs) == "Grips genes."
        assert plugins.summary(Plain) == ""

    def test_the_meanings_of_arguments_are_read_from_the_documentation(self) -> None:
        assert plugins.meanings(Explained) == {"width": "How wide, in two lines.", "grip": "How firm: always firm."}
        assert plugins.meanings(Explained.grip) == {}
        assert plugins.meanings(Plain) == {}
