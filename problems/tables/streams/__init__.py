"""Which columns a model of a stream needs."""
