"""Feeding Kafka from outside: reading files, sending records that survive a broker's absence, and hearing what became of each."""
