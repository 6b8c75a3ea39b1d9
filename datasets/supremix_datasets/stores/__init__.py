"""Stores: decoded arrays, memory-mapped, content-addressed, shared between machines."""
