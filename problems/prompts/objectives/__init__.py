"""What can be measured of a prompt: one small file for each measure."""
