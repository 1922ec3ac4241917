"""Which channels of a network can only be removed together, and networks from which they really are."""
