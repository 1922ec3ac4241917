"""Which rows are looked at, and which of them are for what."""
