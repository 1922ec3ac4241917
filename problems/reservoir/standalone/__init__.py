"""What goes into exported folders: a reservoir with its readout, which needs numpy alone."""
