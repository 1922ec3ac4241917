"""Which columns and new features a model needs."""
