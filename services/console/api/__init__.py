"""The HTTP API: `reading.py` answers from the projections, `asking.py` sends commands and waits, `problems.py` says what is wrong."""
