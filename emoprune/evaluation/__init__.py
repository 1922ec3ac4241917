"""From candidates to evaluations, whichever process measures them.

`evaluator` makes tickets of candidates, each with its seed, and recalls what is known already; `tickets` lets a
problem measure them; `backends` is what all places to measure in have in common, `serial` the one in this process. The
other one is `emoprune.cluster`.
"""
