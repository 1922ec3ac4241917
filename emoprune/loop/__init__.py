"""The search itself: what a config names is built, begun, and gone through generation by generation.

`search` is what callers iterate over; `trust` refuses code that a run from elsewhere names. `start` does what happens
once, `checks` refuses what cannot be, `build` makes the parts that the config names. `session` is the loop: ask,
evaluate, write down, tell. `stages` lets several such loops take their steps together, and `results` leaves behind
what readers look at.
"""
