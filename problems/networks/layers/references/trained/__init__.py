"""References that train: what is kept of each layer is learnt, its compute counted; only the counts are taken over."""
