"""The services: one room each, and they never import each other."""
