"""Own: somebody was let down, one person accepts responsibility for it, in words, to the customer, and the next step is promised.

Start with `complaint.py` (one complaint, from the first word until both endings are there). Its rules have neighbours: `submissions.py`
(what an upstream tells again), `ownership.py` (who answers for it), `endings.py` (the customer's ending and ours). `translate.py` says
what we make of the other services' facts, `react.py` which streams of ours tell each other what, `mind.py` puts it together.

Nobody is asked twice for what they told us once, and nothing is owned before there is a person, a word to the customer and a date.
"""
