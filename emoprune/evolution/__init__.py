"""Ask and tell, whatever the algorithm.

`ask_tell` puts an algorithm to work and numbers what it proposes; `variation` makes new genomes with the config's
operators, and `duplicates` knows which were asked for before; `archive` keeps what was measured, and the front of it.
"""
