-- Growth.  On several nodes (Citus) a key must hold the column by which rows are spread.  A mark lies on the node of its
-- samples, so that both become visible in one commit there: a rollup that sees the mark sees them as well.
ALTER TABLE dirty_buckets DROP CONSTRAINT dirty_buckets_pkey, ADD PRIMARY KEY (id, point_id);

-- By the key and not by ctid as in migration 0022: the places of rows on one node are those of other rows on the next.
CREATE OR REPLACE FUNCTION plantroom.remove_rollups(series text, points bigint[], before timestamptz, most bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    key text := CASE series WHEN 'hourly' THEN 'bucket' WHEN 'daily' THEN 'day' END;
    over text := CASE series WHEN 'hourly' THEN 'bucket <= $2 - interval ''1 hour'''
                             WHEN 'daily' THEN 'day < ($2 AT TIME ZONE ''UTC'')::date - 1' END;
    removed bigint;
BEGIN
    PERFORM plantroom.refuse_young(before);
    IF over IS NULL OR to_regclass('public.' || series) IS NULL THEN
        RETURN 0;
    END IF;
    EXECUTE format(
        'DELETE FROM public.%1$I WHERE point_id = ANY ($1) AND %2$s AND (point_id, %3$I) IN (
             SELECT point_id, %3$I FROM public.%1$I WHERE point_id = ANY ($1) AND %2$s LIMIT $3)', series, over, key)
        USING points, before, most;
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;
