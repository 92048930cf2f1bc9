-- Time series. These tables carry no policy (COPY and compression refuse it) and the application role has no right on
-- them: people read through the barrier views, which join points under its policy.
CREATE TABLE samples (
    point_id bigint NOT NULL,
    at timestamptz NOT NULL,
    value double precision, -- NULL: nothing was measured; never zero
    quality smallint NOT NULL,
    PRIMARY KEY (point_id, at)
) PARTITION BY RANGE (at);

CREATE TABLE latest (
    point_id bigint PRIMARY KEY,
    at timestamptz NOT NULL, -- latest measured, not last received
    value double precision,
    quality smallint NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE hourly ( -- mergeable; only good readings count towards the sums
    point_id bigint NOT NULL,
    bucket timestamptz NOT NULL, -- start of the UTC hour
    n integer NOT NULL,
    good_n integer NOT NULL,
    sum double precision,
    min double precision,
    max double precision,
    first double precision,
    first_at timestamptz,
    last double precision,
    last_at timestamptz,
    PRIMARY KEY (point_id, bucket)
);

-- Hours whose rollup is out of date. A log without a unique key: a writer never waits for the rollup job or loses a mark
-- to it, and every mark that the job can see was committed together with its samples.
CREATE TABLE dirty_buckets (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    point_id bigint NOT NULL,
    bucket timestamptz NOT NULL
);

-- One partition a week. Attached rather than created in place: that takes no exclusive lock on the parent.
CREATE FUNCTION plantroom.ensure_week(week date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    first date := date_trunc('week', week)::date;
    name text := 'samples_' || to_char(date_trunc('week', week), 'YYYYMMDD');
BEGIN
    IF to_regclass('public.' || name) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('plantroom.ensure_week'));
    IF to_regclass('public.' || name) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.samples INCLUDING ALL)', name);
    EXECUTE format(
        'ALTER TABLE public.samples ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
        name, first::timestamp AT TIME ZONE 'UTC', (first + 7)::timestamp AT TIME ZONE 'UTC');
END
$$;
REVOKE ALL ON FUNCTION plantroom.ensure_week FROM PUBLIC;
GRANT EXECUTE ON FUNCTION plantroom.ensure_week TO plantroom_ingest;

GRANT SELECT, INSERT ON samples TO plantroom_ingest;
GRANT SELECT, INSERT, UPDATE ON latest, hourly TO plantroom_ingest;
GRANT SELECT, INSERT, DELETE ON dirty_buckets TO plantroom_ingest;
GRANT SELECT ON samples, latest, hourly TO plantroom_reader;

CREATE VIEW readings WITH (security_barrier) AS
    SELECT p.organisation_id, p.site_id, p.device_id, s.point_id, p.code AS point, s.at, s.value, s.quality
    FROM points p JOIN samples s ON s.point_id = p.id;
CREATE VIEW latest_readings WITH (security_barrier) AS
    SELECT p.organisation_id, p.site_id, p.device_id, l.point_id, p.code AS point, l.at, l.value, l.quality
    FROM points p JOIN latest l ON l.point_id = p.id;
CREATE VIEW hourly_readings WITH (security_barrier) AS
    SELECT p.organisation_id, p.site_id, p.device_id, p.code AS point, h.*
    FROM points p JOIN hourly h ON h.point_id = p.id;
GRANT plantroom_reader TO CURRENT_USER; -- an owner who is no superuser may hand views only to a role that he can take
GRANT CREATE ON SCHEMA public TO plantroom_reader;
ALTER VIEW readings OWNER TO plantroom_reader;
ALTER VIEW latest_readings OWNER TO plantroom_reader;
ALTER VIEW hourly_readings OWNER TO plantroom_reader;
REVOKE CREATE ON SCHEMA public FROM plantroom_reader;
GRANT USAGE ON SCHEMA plantroom TO plantroom_reader;
GRANT SELECT ON readings, latest_readings, hourly_readings TO plantroom_app;

CREATE TABLE quarantine ( -- what arrived and could not be used, with the reason
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organisation_id uuid REFERENCES organisations, -- NULL: from a site that nobody has registered
    received_at timestamptz NOT NULL,
    topic text NOT NULL,
    reason text NOT NULL,
    payload bytea NOT NULL -- the first bytes, for the engineer
);
CALL plantroom.protect('quarantine', 'SELECT, DELETE');
CREATE POLICY ingest ON quarantine FOR INSERT TO plantroom_ingest WITH CHECK (true);
CREATE POLICY ingest_sees ON quarantine FOR SELECT TO plantroom_ingest USING (true);
CREATE POLICY ingest_drops ON quarantine FOR DELETE TO plantroom_ingest USING (true);
GRANT SELECT, INSERT, DELETE ON quarantine TO plantroom_ingest;
