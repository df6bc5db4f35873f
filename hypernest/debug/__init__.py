"""Looking into a running guest: symbols, profiles."""
