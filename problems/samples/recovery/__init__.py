"""Training the student on what stays."""
