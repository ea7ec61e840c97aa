"""Fix and deliver: what went wrong is put right, and the customer has it in hand and says so, or had the time to object.

Start with `case.py` (one case, from ownership until the customer has it in hand). `decisions.py` and `offers.py` are rules that it
uses; `translate.py` says what we make of intake's facts, `react.py` which streams of ours tell each other what, `mind.py` puts it
together.

Nothing is fixed before somebody owns it, nothing is explained before it is delivered, and no silence counts as a yes.
"""
