"""Which heads and neurons of a transformer matter most: one number per unit."""
