"""The stand-ins are tried by strict clients of our own, so that both sides of a protocol are checked."""
