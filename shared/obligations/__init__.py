"""What we owe, as pure rules."""
