"""The platform's own health: what it did last, how far it is behind, and what somebody should look at."""
