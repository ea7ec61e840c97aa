"""Puts the parts together; it alone may import everything.

- `cli/`: the `makegood` command. `feed/`, `formats/`: complaints from files. `sample/`: complaints made up from a seed, and people who
  work on them.
- `status.py`, `doctor/`, `agreement.py`, `traces/`: what runs, what is wrong and what to do, whether all agree about the ledgers, traces
  sent on. `database.py`: how they read.
- `local/`: the embedded Kafka and PostgreSQL, and the supervisor of all processes of one home.
- `install.py`, `migrate.py`, `roles.py`, `topics.py`: an installation.
- `schemas.py`, `reference/`: the documents that are written by the code.
"""
