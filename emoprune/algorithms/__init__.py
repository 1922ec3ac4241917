"""Which genomes are measured next: the algorithms that come with emoprune, plug-ins as a stranger's are.

pymoo lives here alone: `pymoo_algorithms`, with `pymoo_setup` and `pymoo_survival`. `surrogate` breeds as they do and
screens by `gaussian_process`. `promptquine`, `greedy`, `genetic` and `particle_swarm` make one objective better;
`single_objective` is what they share, and a `ledger` what each of them was told.
"""
