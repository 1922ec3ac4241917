"""What is minimised beside the metric, and what bounds name: one small file per measure."""
