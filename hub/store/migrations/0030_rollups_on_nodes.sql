-- Rollups of series that are spread over several nodes (Citus).

-- No trigger hangs on a table that is spread: whoever takes marks says so.
DROP TRIGGER taken ON dirty_buckets;
DROP FUNCTION plantroom.count_round();
CREATE FUNCTION plantroom.count_round() RETURNS bigint LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    SELECT nextval('plantroom.rollup_rounds')
$$;
REVOKE ALL ON FUNCTION plantroom.count_round FROM PUBLIC;
GRANT EXECUTE ON FUNCTION plantroom.count_round TO plantroom_ingest;

-- The same as plantroom.roll, from samples that the transaction has fetched into a temporary table: the newest readings
-- before many spans cannot be asked of several nodes at once.  Whoever changes the one makes the other again like this.
SELECT set_config('check_function_bodies', 'off', true); -- the table is not there yet
DO $$
BEGIN
    EXECUTE replace(replace(pg_get_functiondef('plantroom.roll(bigint[], timestamptz[], timestamptz[])'::regprocedure),
                            'plantroom.roll(', 'plantroom.roll_here('), 'effective_samples', 'samples_here');
END
$$;
SELECT set_config('check_function_bodies', 'on', true);
REVOKE ALL ON FUNCTION plantroom.roll_here FROM PUBLIC;
GRANT EXECUTE ON FUNCTION plantroom.roll_here TO plantroom_ingest;

-- Hung on amendments by 'plantroom hub distribute' (hub/store/citus.py).
CREATE FUNCTION plantroom.refuse_on_nodes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'readings that are spread over several nodes cannot be corrected' USING ERRCODE = 'feature_not_supported';
END
$$;
