"""What can be measured of a pruned network: one small file for each measure."""
