"""Source files that exports are made of, in the languages that they are in."""
