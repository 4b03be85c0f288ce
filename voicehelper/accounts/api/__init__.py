"""Signing in from programs and from the mini program; who one is; shares."""
