"""How the weights of a layer that stay make up for those that are zeroed: one file per method."""
