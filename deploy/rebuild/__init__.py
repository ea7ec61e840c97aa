"""What can be made again is made again: Kafka's topics from the ledgers, a projection from the ledgers, too.

`events` writes one shard's events, `readers` says where whoever reads a topic goes on, `topics` puts the two in an order that may be
interrupted anywhere. `projections` makes one of the console's tables beside the live one and changes places with it.
"""
