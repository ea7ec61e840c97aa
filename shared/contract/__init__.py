"""What is said aloud and stored for ever."""
