"""Backup, restore and export: the archive, what goes into it, and how it comes back."""
