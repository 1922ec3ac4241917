"""Where things lie on a user's machine: the cache folder, and files beside a config."""
