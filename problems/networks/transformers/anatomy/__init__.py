"""Where a transformer keeps its heads and neurons, and models that really have fewer of them."""
