"""What the server tells of itself: metrics over all workers, an access log, and the files that show them."""
