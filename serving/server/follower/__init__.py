"""The one process of a server that knows MLflow and the registry: it writes what is to be served into the cache."""
