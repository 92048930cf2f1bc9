"""The care of stored readings: partitions ahead of time, compaction of what is over, and what is kept how long."""
