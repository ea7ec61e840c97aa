"""What upstream files look like, and how a row of theirs becomes the fields of a `SubmitComplaint`.

One file a format, each a pure function from a row (column → text) to fields. It raises `BadRow` with a reason a person can act on.
"""
