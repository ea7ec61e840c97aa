"""The domain's invariants, held against what the ledgers say: read from the past alone, apart from the rules that decide."""
