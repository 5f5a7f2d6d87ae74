"""Batch scoring by Spark: a native SQL expression on this machine or a cluster, by Spark Connect, too."""
