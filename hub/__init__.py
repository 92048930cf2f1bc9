"""The hub remembers, judges, dispatches and bills."""
