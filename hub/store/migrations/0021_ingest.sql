-- A writer may leave out a mark that it has made before, as long as nobody has taken marks since. The round counts how
-- often that happened. Who takes marks holds the lock 'plantroom.rollups' alone, from before its snapshot to its end;
-- who writes holds a share of it while it relies on the round.
CREATE SEQUENCE plantroom.rollup_rounds;

CREATE FUNCTION plantroom.rollup_round() RETURNS bigint LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM plantroom.rollup_rounds
$$;

CREATE FUNCTION plantroom.count_round() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM taken) THEN
        PERFORM nextval('plantroom.rollup_rounds');
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER taken AFTER DELETE ON dirty_buckets REFERENCING OLD TABLE AS taken
    FOR EACH STATEMENT EXECUTE FUNCTION plantroom.count_round();

REVOKE ALL ON FUNCTION plantroom.rollup_round, plantroom.count_round FROM PUBLIC;
GRANT EXECUTE ON FUNCTION plantroom.rollup_round TO plantroom_ingest;
