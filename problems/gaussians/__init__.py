"""Images and scenes of Gaussians: which of them a picture needs."""
