"""The wire formats of predictions, one module each; none of them scores anything."""
