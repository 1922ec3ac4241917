"""Code that runs without emoprune: copied into an exported folder, or started in a fresh process to verify one."""
