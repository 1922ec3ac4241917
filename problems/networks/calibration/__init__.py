"""What the calibration images say of every layer: activations, gradients, moments, curvature."""
