"""Servers that speak the real protocols of the outside world, on the loopback address only."""
