"""Addresses of the network: who talks to us."""
