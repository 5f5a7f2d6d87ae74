"""The recorder: a process beside the workers that writes the prediction log, and how workers hand requests to it."""
