-- The store of readings has several back ends behind one SQL text: native weekly partitions, or a hypertable where this
-- database has TimescaleDB.  Nothing outside this file asks which one it is, but for the doctor.  See hub/store/backend.py.

-- The schema of TimescaleDB's functions; NULL where the database does not have it, or its server has not loaded it: a
-- setting that only stands in a file is not in pg_settings.
CREATE FUNCTION plantroom.timescaledb() RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    RETURN (SELECT extnamespace::regnamespace::text FROM pg_extension
            WHERE extname = 'timescaledb' AND EXISTS (SELECT FROM pg_settings WHERE name = 'timescaledb.license'));

-- Whether `samples` is a hypertable: it is partitioned, but not by PostgreSQL.
CREATE FUNCTION plantroom.on_hypertable() RETURNS boolean LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    RETURN (SELECT relkind <> 'p' FROM pg_class WHERE oid = 'public.samples'::regclass);

-- A hypertable makes its chunks by itself.
CREATE OR REPLACE FUNCTION plantroom.ensure_week(week date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    first date := date_trunc('week', week)::date;
    name text := 'samples_' || to_char(date_trunc('week', week), 'YYYYMMDD');
BEGIN
    IF to_regclass('public.' || name) IS NOT NULL OR plantroom.on_hypertable() THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('plantroom.ensure_week'));
    IF to_regclass('public.' || name) IS NOT NULL OR plantroom.on_hypertable() THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.samples INCLUDING ALL)', name);
    EXECUTE format(
        'ALTER TABLE public.samples ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
        name, first::timestamp AT TIME ZONE 'UTC', (first + 7)::timestamp AT TIME ZONE 'UTC');
END
$$;

-- Make sure of TimescaleDB in this database; false where its server has not loaded it or the owner may not.
-- Without having been loaded, CREATE EXTENSION would drop the connection: whether it was shows in a setting of its loader.
CREATE FUNCTION plantroom.use_timescaledb() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF plantroom.timescaledb() IS NOT NULL THEN
        RETURN true;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_settings WHERE name = 'timescaledb.disable_load')
       OR NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb') THEN
        RETURN false;
    END IF;
    CREATE EXTENSION timescaledb;
    RETURN true;
EXCEPTION WHEN insufficient_privilege THEN
    RETURN false;
END
$$;

-- An empty hypertable beside `samples`, in its shape.  Weekly chunks; the one index is the key.
CREATE PROCEDURE plantroom.make_hypertable(name text) LANGUAGE plpgsql AS $$
DECLARE
    ts text := plantroom.timescaledb();
BEGIN
    EXECUTE format('CREATE TABLE public.%I (LIKE public.samples INCLUDING DEFAULTS, PRIMARY KEY (point_id, at))', name);
    EXECUTE format(
        'SELECT %1$s.create_hypertable(%2$L::regclass, %1$s.by_range(''at'', interval ''7 days''), create_default_indexes => false)',
        ts, 'public.' || quote_ident(name));
    -- A backfill may have to open many compressed batches in one transaction; ingest bounds its transactions itself.
    EXECUTE format('ALTER DATABASE %I SET timescaledb.max_tuples_decompressed_per_dml_transaction = 0', current_database());
END
$$;

-- Put a table in the place of `samples`, and drop the old one.  Rights go over; views and functions that read `samples`
-- are read anew under the same names, so that what is built on them stays.
CREATE PROCEDURE plantroom.replace_samples(name text) LANGUAGE plpgsql AS $$
DECLARE
    told text[];
    granted text[];
    statement text;
BEGIN
    SELECT array_agg(format('CREATE OR REPLACE VIEW %s %s AS %s', c.oid::regclass,
                            'WITH (' || nullif(array_to_string(c.reloptions, ', '), '') || ')', pg_get_viewdef(c.oid)))
    INTO told
    FROM pg_class c
    WHERE c.relkind = 'v' AND EXISTS (
        SELECT FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
        WHERE r.ev_class = c.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid = 'public.samples'::regclass);
    SELECT told || array_agg(pg_get_functiondef(d.objid)) INTO told
    FROM (SELECT DISTINCT objid FROM pg_depend
          WHERE classid = 'pg_proc'::regclass AND refclassid = 'pg_class'::regclass
            AND refobjid = 'public.samples'::regclass) d;
    SELECT array_agg(format('GRANT %s ON public.samples TO %s', a.privilege_type, a.grantee::regrole)) INTO granted
    FROM pg_class c, aclexplode(c.relacl) a
    WHERE c.oid = 'public.samples'::regclass AND a.grantee NOT IN (0, c.relowner);
    ALTER TABLE public.samples RENAME TO samples_before;
    EXECUTE format('ALTER TABLE public.%I RENAME TO samples', name);
    FOREACH statement IN ARRAY coalesce(granted, '{}') || coalesce(told, '{}') LOOP
        EXECUTE statement;
    END LOOP;
    DROP TABLE public.samples_before;
    EXECUTE format('ALTER TABLE public.samples RENAME CONSTRAINT %I TO samples_pkey', name || '_pkey');
END
$$;

-- A database that has TimescaleDB and no readings yet gets its hypertable now.  Readings that are there already move only
-- when somebody says so: `plantroom store convert`.
DO $$
BEGIN
    IF plantroom.use_timescaledb() AND NOT EXISTS (SELECT FROM samples) THEN
        CALL plantroom.make_hypertable('samples_next');
        CALL plantroom.replace_samples('samples_next');
    END IF;
END
$$;

-- What was compacted last, and how large it was right after: it is done again when much has come in since.
CREATE TABLE plantroom.compacted (
    part text PRIMARY KEY,
    bytes bigint NOT NULL
);

-- The parts of `samples`, oldest first: partitions or chunks, with their indexes; `compacted`: and nearly as small still.
CREATE FUNCTION plantroom.parts() RETURNS TABLE (part text, starts_at timestamptz, ends_at timestamptz, bytes bigint, compacted boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    bounds CONSTANT text := $r$FROM \('(.*)'\) TO \('(.*)'\)$r$;
    listed text := format(
        $q$SELECT c.oid::regclass::text AS part, b[1]::timestamptz AS starts_at, b[2]::timestamptz AS ends_at,
                  pg_total_relation_size(c.oid) AS bytes
           FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid,
                regexp_match(pg_get_expr(c.relpartbound, c.oid), %L) AS b
           WHERE i.inhparent = 'public.samples'::regclass$q$, bounds);
BEGIN
    IF plantroom.on_hypertable() THEN
        listed := format(
            $q$SELECT format('%%I.%%I', c.chunk_schema, c.chunk_name)::regclass::text AS part, c.range_start AS starts_at,
                      c.range_end AS ends_at, s.total_bytes AS bytes
               FROM timescaledb_information.chunks c
               JOIN %s.chunks_detailed_size('public.samples') s USING (chunk_schema, chunk_name)
               WHERE c.hypertable_schema = 'public' AND c.hypertable_name = 'samples'$q$, plantroom.timescaledb());
    END IF;
    RETURN QUERY EXECUTE format(
        'SELECT p.*, coalesce(p.bytes <= d.bytes * 1.2, false) FROM (%s) p LEFT JOIN plantroom.compacted d USING (part) ORDER BY 2',
        listed);
END
$$;

-- Write a partition anew in the order of its key, beside the old one, and put it in its place.  Writers wait while it is read
-- once for what has come since the copy began, and readers for the moment of the change.  The parent is locked, not the
-- partition: a writer who held the parent and waited for the partition would wait for us and we for him.
CREATE PROCEDURE plantroom.rewrite(part text, starts_at timestamptz, ends_at timestamptz) LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text := (SELECT relname FROM pg_class WHERE oid = part::regclass);
    next text := name || '_next';
    seen xid := pg_snapshot_xmin(pg_current_snapshot())::xid;
BEGIN
    EXECUTE format('CREATE TABLE public.%I (LIKE public.samples INCLUDING DEFAULTS, CONSTRAINT span CHECK (at >= %L AND at < %L))',
                   next, starts_at, ends_at);
    EXECUTE format('INSERT INTO public.%I SELECT point_id, at, value, quality FROM public.%I ORDER BY point_id, at', next, name);
    EXECUTE format('ALTER TABLE public.%I ADD PRIMARY KEY (point_id, at)', next);
    EXECUTE format('ANALYZE public.%I', next);
    LOCK TABLE ONLY public.samples IN SHARE ROW EXCLUSIVE MODE;
    EXECUTE format('INSERT INTO public.%I SELECT point_id, at, value, quality FROM public.%I WHERE age(xmin) <= age($1) ON CONFLICT DO NOTHING',
                   next, name) USING seen;
    EXECUTE format('ALTER TABLE public.samples DETACH PARTITION public.%I', name);
    EXECUTE format('DROP TABLE public.%I', name);
    EXECUTE format('ALTER TABLE public.%I RENAME TO %I', next, name);
    EXECUTE format('ALTER TABLE public.%I RENAME CONSTRAINT %I TO %I', name, next || '_pkey', name || '_pkey');
    EXECUTE format('ALTER TABLE public.samples ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)', name, starts_at, ends_at);
    EXECUTE format('ALTER TABLE public.%I DROP CONSTRAINT span', name);
END
$$;

-- Write a part anew in the order of its key, or into the columnstore where the licence has one; gives its size after.  A
-- chunk is rewritten where it lies, and who reads or writes it waits.  Whoever is before us makes us give up soon.
CREATE FUNCTION plantroom.compact(part text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' SET timezone = 'UTC'
SET maintenance_work_mem = '128MB' SET work_mem = '64MB' AS $$
DECLARE
    span record;
    size bigint;
BEGIN
    SELECT p.starts_at, p.ends_at INTO span FROM plantroom.parts() p WHERE p.part = compact.part AND p.ends_at < now();
    IF NOT FOUND THEN
        RAISE EXCEPTION '% is no part of the readings that is over', part USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT plantroom.on_hypertable() THEN
        IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN -- whose partitions are on other nodes
            CALL plantroom.rewrite(part, span.starts_at, span.ends_at);
        END IF;
    ELSIF current_setting('timescaledb.license') = 'timescale' THEN
        CALL plantroom.enable_columnstore();
        -- all of it again: what came late would otherwise leave its old room behind
        EXECUTE format('SELECT %s.decompress_chunk(%L::regclass, if_compressed => true)', plantroom.timescaledb(), part);
        EXECUTE format('SELECT %s.compress_chunk(%L::regclass)', plantroom.timescaledb(), part);
    ELSE
        EXECUTE format('CLUSTER %s USING %I', part::regclass, (
            SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
            WHERE i.indrelid = part::regclass AND i.indisprimary));
        EXECUTE format('ANALYZE %s', part::regclass);
    END IF;
    SELECT p.bytes INTO size FROM plantroom.parts() p WHERE p.part = compact.part;
    INSERT INTO plantroom.compacted AS c (part, bytes) VALUES (compact.part, size)
    ON CONFLICT ON CONSTRAINT compacted_pkey DO UPDATE SET bytes = excluded.bytes;
    RETURN size;
END
$$;

CREATE PROCEDURE plantroom.enable_columnstore() LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    enabled boolean;
BEGIN
    EXECUTE $q$SELECT compression_enabled FROM timescaledb_information.hypertables
               WHERE hypertable_schema = 'public' AND hypertable_name = 'samples'$q$ INTO enabled;
    IF NOT enabled THEN
        ALTER TABLE public.samples SET (timescaledb.compress, timescaledb.compress_segmentby = 'point_id', timescaledb.compress_orderby = 'at');
    END IF;
END
$$;

-- What nothing may remove, whoever asks: a mistake in a definition or a clock must not take what people work with.
CREATE FUNCTION plantroom.refuse_young(moment timestamptz) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF moment > now() - interval '90 days' THEN
        RAISE EXCEPTION 'readings of the last 90 days are not removed (asked: up to %)', moment USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$$;

-- Drop a part when it holds nothing but readings of the points given; how many rows of which organisation that were.
-- Gives one row without an organisation when something must stay and nothing was dropped.
CREATE FUNCTION plantroom.drop_part(part text, gone bigint[]) RETURNS TABLE (organisation_id uuid, n bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    span record;
    must_stay boolean;
BEGIN
    SELECT p.starts_at, p.ends_at INTO STRICT span FROM plantroom.parts() p WHERE p.part = drop_part.part;
    PERFORM plantroom.refuse_young(span.ends_at);
    EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE point_id <> ALL ($1))', part::regclass) INTO must_stay USING gone;
    IF NOT must_stay THEN -- look again when nobody can add to it any more
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', part::regclass);
        EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE point_id <> ALL ($1))', part::regclass) INTO must_stay USING gone;
    END IF;
    IF must_stay THEN
        RETURN QUERY SELECT NULL::uuid, 0::bigint;
        RETURN;
    END IF;
    RETURN QUERY EXECUTE format(
        'SELECT o.organisation_id, count(*) FROM %s s JOIN public.points o ON o.id = s.point_id GROUP BY 1', part::regclass);
    IF plantroom.on_hypertable() THEN
        EXECUTE format('SELECT %s.drop_chunks(''public.samples''::regclass, older_than => $1, newer_than => $2)', plantroom.timescaledb())
            USING span.ends_at, span.starts_at;
    ELSE
        EXECUTE format('DROP TABLE %s', part::regclass);
    END IF;
    DELETE FROM plantroom.compacted c WHERE c.part = drop_part.part;
END
$$;

-- Remove readings of some points in a span, point by point, until about `most` are gone; how many that were.
CREATE FUNCTION plantroom.remove_samples(points bigint[], since timestamptz, until timestamptz, most bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    point bigint;
    removed bigint := 0;
    count bigint;
BEGIN
    PERFORM plantroom.refuse_young(until);
    FOREACH point IN ARRAY points LOOP
        -- with constants: only then does the columnstore drop whole batches unopened
        EXECUTE format('DELETE FROM public.samples WHERE point_id = %s AND at >= %L AND at < %L', point, since, until);
        GET DIAGNOSTICS count = ROW_COUNT;
        removed := removed + count;
        EXIT WHEN removed >= most;
    END LOOP;
    RETURN removed;
END
$$;

-- Remove at most `most` rows of a rollup (`hourly`, or `daily` where there is one) that were over before a moment.
CREATE FUNCTION plantroom.remove_rollups(series text, points bigint[], before timestamptz, most bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    over text := CASE series WHEN 'hourly' THEN 'bucket <= $2 - interval ''1 hour'''
                             WHEN 'daily' THEN 'day < ($2 AT TIME ZONE ''UTC'')::date - 1' END;
    removed bigint;
BEGIN
    PERFORM plantroom.refuse_young(before);
    IF over IS NULL OR to_regclass('public.' || series) IS NULL THEN
        RETURN 0;
    END IF;
    EXECUTE format(
        'DELETE FROM public.%1$I WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM public.%1$I WHERE point_id = ANY ($1) AND %2$s LIMIT $3))', series, over)
        USING points, before, most;
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;

-- Whoever runs a migration may do all of this; of the programs only ingest and the jobs, and only what is below.
DO $$
DECLARE
    ours regprocedure;
BEGIN
    FOREACH ours IN ARRAY ARRAY[
        'plantroom.use_timescaledb()', 'plantroom.make_hypertable(text)', 'plantroom.replace_samples(text)', 'plantroom.parts()',
        'plantroom.rewrite(text, timestamptz, timestamptz)', 'plantroom.compact(text)', 'plantroom.enable_columnstore()',
        'plantroom.drop_part(text, bigint[])', 'plantroom.remove_samples(bigint[], timestamptz, timestamptz, bigint)',
        'plantroom.remove_rollups(text, bigint[], timestamptz, bigint)']::regprocedure[]
    LOOP
        EXECUTE format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', ours);
    END LOOP;
END
$$;
GRANT EXECUTE ON FUNCTION plantroom.parts, plantroom.compact, plantroom.drop_part, plantroom.remove_samples, plantroom.remove_rollups
    TO plantroom_ingest;
