"""What all services stand on; it knows no stage and imports no service.

- `contract/`: what is said aloud and stored for ever: commands, events, refusals, the envelope. No I/O, and no edits of what was published.
- `machine/`: batch, store, relay, timers, replay, proof, projections: the same for every service. Read it after a mind.
- `obligations/`: what we owe, as pure rules: promises, and what counts as the customer's word.
- `policy/`: the model of a policy, its loader, the shipped one.
- `kafka.py`, `lenient.py`, `settings.py`, `telemetry.py`: one file each.
"""
