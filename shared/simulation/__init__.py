"""Kafka, PostgreSQL and time, simulated: one process, one seed, the same run every time, bit for bit."""
