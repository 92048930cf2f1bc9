"""The tables that hold time series: the one list of them, for whoever spreads, copies or measures them."""

POINT = "point_id"  # the column by which they are spread over nodes; no join between two of them goes by another

# In the order in which they are spread.  One that this schema does not have yet is passed over.
SERIES = ("samples", "latest", "hourly", "daily", "dirty_buckets")

# What the job of the rollups has still to do: it stays on the coordinator, beside the points, and no statement speaks
# of it and of a series.  The marks of writers, dirty_buckets, are no part of it: a mark lies beside its samples.
BOOKKEEPING = ("dirty_hours", "dirty_days", "dirty_zones")
