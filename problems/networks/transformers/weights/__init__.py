"""Problems with one gene per linear layer that keep a transformer's shape: its weights are zeroed or rounded."""
