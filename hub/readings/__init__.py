"""Look at what was measured: series, charts, latest values, counters for billing."""
