"""Puts the parts together: the `makegood` command, the embedded stack, containers."""
