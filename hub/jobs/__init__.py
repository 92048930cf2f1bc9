"""What the hub does by the clock: alarms that mature, repairs to verify, rollups, partitions, the audit chain."""
