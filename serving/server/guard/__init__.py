"""Who may ask, how often, and how much at once: keys, rates, admission, and the headers that browsers heed."""
