"""The documents that are written by the code: `python -m deploy.reference` writes docs/reference, `--check` says what is stale."""
