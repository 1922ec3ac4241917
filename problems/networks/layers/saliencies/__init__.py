"""How much each single weight of a layer matters, in networks and in transformers: one file per method."""
