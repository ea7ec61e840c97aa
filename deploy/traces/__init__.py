"""Traces: read from the ledgers, sent where traces are kept. The spans themselves are made by `shared.machine.traces`."""
