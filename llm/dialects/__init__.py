"""One file for each dialect in which programs ask: shape in, shape out."""
