"""The HTTP server: one follower that reads the registry, and workers that read only scorecards."""
