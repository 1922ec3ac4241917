"""What goes into exported folders: point files and flat splats, which need numpy alone."""
