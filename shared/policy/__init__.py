"""The model of a policy, its loader, and the shipped ones."""
