"""The one process of a server that uses MLflow and the registry: it writes what workers serve into the cache."""
