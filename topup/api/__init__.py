"""The JSON routes of mission §1.1: each view parses, calls one service and answers."""
