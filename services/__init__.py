"""The services, one room each; they never import each other and talk only through Kafka.

- `intake/` (own), `resolution/` (fix, deliver), `rootcause/` (retrain): they decide. In each: a file a stream (State, evolve, decide,
  is_closed, timers, in that order), `translate.py` (another's fact becomes our command), `react.py` (our fact becomes a command to another
  stream of ours), `mind.py` (put together), `__main__.py` (the process). Start with `intake/complaint.py`.
- `console/`: the read side for operations; it decides nothing.
"""
