"""A sample: believable complaints, and people who work them, so that every stage fills.

Everything follows from a seed, and times from the moment at which the system received the sample's first complaint: the same seed gives
the same complaints, people and requests for ever. What is written is pure: `matters.py` (who complains of what), `scripts.py` (what
a script is), `paths.py` (how far a complaint goes) with one file a stage (`owning.py`, `fixing.py`, `learning.py`), `slips.py` (what
people try and is refused), `problems.py` (one cause, many complaints). The texts are in `words/`.

`prompter.py` says what is to be sent next when something was heard, pure too; `feed.py` sends and hears, `past.py` reads what was heard
in an earlier run. No name, order or text is anybody's.
"""
