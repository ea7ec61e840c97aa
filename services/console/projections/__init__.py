"""What is made of the services' events, each file by the question that it answers.

- `card.py`: where is a complaint, and what is known of it? One `Card`, and a pure function from card and event to the next card.
- `queue.py`: which complaints are there? Keeps the cards.
- `story.py`: what happened to a complaint? Every event and refusal, as it was written.
- `outcomes.py`: what became of a message? For whoever waits for an answer.

`kept.py` names them, and the table of each: `makegood projection rebuild NAME` makes one again.
"""
