"""The wire formats that predictions are asked in; each is one module, and none scores anything itself."""
