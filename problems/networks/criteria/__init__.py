"""Which channels of a layer matter most: one number per channel."""
