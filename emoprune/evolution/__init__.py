"""Ask and tell: new genomes only, and everything that was seen."""
