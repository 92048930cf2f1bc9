"""Correct by hand: readings disputed, replaced and added, meters exchanged; what was measured stays."""
