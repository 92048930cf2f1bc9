"""Commands: who wished to set which point, and what became of it."""
