"""Conversations, the answers of models to them, and their voice."""
