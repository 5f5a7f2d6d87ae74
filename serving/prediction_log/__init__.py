"""The prediction log: one row for each answered row, for monitoring and audit.

``schema`` says what a row has, ``rows`` makes typed rows of raw ones, ``parquet`` and ``database`` write them, and
``lines`` reads what cloud functions wrote. Sampling and hashing, which functions do too, are in
``serving.functions.sampling``.
"""
