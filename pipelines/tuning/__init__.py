"""A search over estimators and their parameters, whose winner is trained and registered."""
