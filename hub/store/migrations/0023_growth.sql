-- Growth.  On several nodes (Citus) a key must hold the column by which rows are spread.  A mark lies on the node of its
-- samples, so that both become visible in one commit there: a rollup that sees the mark sees them as well.
ALTER TABLE dirty_buckets DROP CONSTRAINT dirty_buckets_pkey, ADD PRIMARY KEY (id, point_id);
