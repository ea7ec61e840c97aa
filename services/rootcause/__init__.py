"""Retrain: why it happened, what was corrected, and whether it is the same thing that others complained about.

Start with `learning.py` (looking back on one complaint), then `problem.py` (one cause, many complaints). `correction.py` and `people.py`
are rules that both use; `translate.py` says what we make of the other services' facts, `react.py` which streams of ours tell each
other what, `mind.py` puts it together.

Nothing is looked into before the customer has it in hand, and no cause is ever a person.
"""
