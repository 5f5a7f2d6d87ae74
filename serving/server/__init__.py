"""The HTTP server: one follower that knows the registry, and many workers that know only scorecards."""
