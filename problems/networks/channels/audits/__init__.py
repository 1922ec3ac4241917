"""Can a front be believed: proxies held against trained results, and inherited weights against fresh ones."""
