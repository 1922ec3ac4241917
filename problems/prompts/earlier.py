"""Configs of runs that earlier versions began, in today's words: what was measured then is measured still."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["of_earlier_prompt"]

ANSWER = "{answer}"


def of_earlier_prompt(resolved: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the options of a prompt as they were resolved when its run was begun.

    Written answers were read by any of their words, and all examples were measured at once. Before that, a space was
    put between a prompt and its answers unless the prompt ended in white space, and before the answer of each
    demonstration; two braces were two braces.
    """
    resolved = {"reading": "words", "blocks": None, **resolved}
    if "between" in resolved:
        return resolved
    own = {**resolved, "between": "ending", "placeholder": "{}"}
    prompt = resolved.get("prompt")
    if isinstance(prompt, Mapping) and ANSWER in prompt.get("template", ""):
        before, _, after = prompt["template"].partition(ANSWER)
        own["prompt"] = {**prompt, "template": f"{before.rstrip(' ')} {ANSWER}{after}"}
    return own
