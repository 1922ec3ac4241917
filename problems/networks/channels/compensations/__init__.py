"""What the weights that stay take over from those that go, in closed form and without training."""
