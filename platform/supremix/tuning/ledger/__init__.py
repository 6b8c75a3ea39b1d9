"""The ledger: the event log that is the truth of a search."""
