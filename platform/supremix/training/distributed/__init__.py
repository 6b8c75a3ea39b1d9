"""Training in several processes: collective operations, synchronised normalisation."""
