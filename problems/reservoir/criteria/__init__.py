"""How much each neuron of a reservoir is worth."""
