"""Bringing back what is down, where that is safe."""
