"""Stores: one file for each protocol. All of them speak through base.Store."""
