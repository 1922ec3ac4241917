"""What the options of operators must satisfy, said in one voice."""

from __future__ import annotations

from emoprune.errors import ConfigError

__all__ = ["check_reach", "check_share"]


def check_share(operator: object, option: str, value: float | None) -> None:
    """Refuse a probability or share outside 0 to 1; None stands for the operator's own choice.

    Raises:
        ConfigError: The value lies outside, or is not a number.
    """
    if value is not None and not 0 <= value <= 1:
        raise ConfigError(f"{type(operator).__name__}: expected {option} between 0 and 1, found {value}")


def check_reach(operator: object, reach: int | None) -> None:
    """Refuse a reach below one level; None stands for the operator's own choice.

    Raises:
        ConfigError: The reach is less than 1.
    """
    if reach is not None and reach < 1:
        raise ConfigError(f"{type(operator).__name__}: expected a reach of at least 1 level, found {reach}")
