"""Models without a scorecard: each version is answered by MLflow's pyfunc in processes of its own, its *lanes*.

The supervisor keeps the lanes running, and the workers ask them over Unix sockets. A lane that is slow, leaks or dies
affects only the requests to its own version.
"""
