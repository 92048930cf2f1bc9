"""The sub-commands of ``plantroom``, one file each."""
