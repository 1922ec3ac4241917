from __future__ import annotations

import math
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emoprune.report.wording import change, duration, number, numbers, plain, rate, shell_word, with_unit

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=64)


@given(st.text())
def test_plain_text_is_one_line_without_control_or_direction_characters(text: str) -> None:
    shown = plain(text)
    assert shown == " ".join(shown.split(" "))
    assert not any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in shown)
    assert len(shown) <= 200


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]0;title\x07rest", "rest"),
        ("\x9b2Jcleared", "cleared"),
        ("a\u202eb", "ab"),
        ("a\u2028b\r\nc\td", "a b c d"),
        ("[red]kept[/red]", "[red]kept[/red]"),
        ("😀", "😀"),
    ],
)
def test_plain_text_loses_what_steers_and_keeps_what_is_read(hostile: str, shown: str) -> None:
    assert plain(hostile) == shown


def test_plain_text_is_cut_at_its_limit_and_says_so() -> None:
    assert plain("abcdefghij", 8) == "abcde..."


@given(st.floats(min_value=1e-4, max_value=1e8) | st.floats(min_value=-1e8, max_value=-1e-4))
def test_a_written_number_is_within_a_thousandth_of_the_number(value: float) -> None:
    assert math.isclose(float(number(value).replace(",", "")), value, rel_tol=1e-3)


@given(st.lists(FINITE | st.just(math.nan), min_size=1, max_size=20))
def test_a_column_of_numbers_has_one_text_each_and_a_dash_for_nan(values: list[float]) -> None:
    texts = numbers(values)
    assert [text == "-" for text in texts] == [math.isnan(value) for value in values]


def test_a_column_of_numbers_has_the_decimals_it_needs_and_no_more() -> None:
    assert numbers([1234567.0, 20.0]) == ["1,234,567", "20"]
    assert numbers([1.67, 12.5, math.nan]) == ["1.67", "12.50", "-"]
    assert numbers([0.123456, 12.3456]) == ["0.12", "12.35"]
    assert numbers([3e-7, 5e12]) == ["3e-07", "5e+12"]


def test_a_number_keeps_its_unit_and_a_number_without_one_stands_alone() -> None:
    assert with_unit(1.67, "%") == "1.67 %"
    assert with_unit(123456.0, "") == "123,456"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-3, "0 s"), (0.4, "0 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min"), (3e5, "3 d 11 h")],
)
def test_a_duration_is_written_in_the_two_units_that_matter(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_rate_is_written_in_the_unit_that_shows_it() -> None:
    assert [rate(12.34), rate(0.03), rate(0.0005)] == ["12.3/s", "1.8/min", "1.8/h"]


def test_a_change_has_a_sign_and_a_missing_one_is_a_dash() -> None:
    assert [change(-12.34), change(5.0), change(1258.4), change(3e7)] == ["-12.3%", "+5.0%", "+1,258%", "+3e+07%"]
    assert change(None) == "-"


def test_a_name_in_a_command_is_one_harmless_word() -> None:
    assert shell_word("run; rm -rf x") == "'run; rm -rf x'"
    assert shell_word("digits-1") == "digits-1"
