"""The technician's pages, for a phone."""
