"""The embedded stack: real Kafka and PostgreSQL under `.makegood/`, and the supervisor."""
