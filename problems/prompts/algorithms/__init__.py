"""The single-objective loops of the papers, as algorithms of a search: they work on any space."""
