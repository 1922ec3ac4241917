"""What a prompt is for, and when an answer is right."""
