"""JSON over HTTP, for the pages and for other programs."""
