"""The `makegood` command."""
