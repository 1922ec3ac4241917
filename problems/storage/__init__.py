"""What problems keep: in the run, in the cache folder, and beside a config."""
