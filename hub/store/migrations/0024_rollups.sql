-- Rollups that can be trusted: hours (UTC) and days (site time), with coverage, from one reading of the samples.

-- What rollups take for measured: the one place where raw samples are read for them.  Whoever corrects
-- readings replaces this view.
CREATE VIEW effective_samples WITH (security_invoker = true) AS SELECT point_id, at, value, quality FROM samples;
GRANT SELECT ON effective_samples TO plantroom_ingest, plantroom_reader;

ALTER TABLE hourly
    ADD COLUMN covered_s double precision NOT NULL DEFAULT 0, -- seconds for which a good reading speaks
    ADD COLUMN integral double precision NOT NULL DEFAULT 0, -- of value over those seconds: its mean is integral / covered_s
    ADD COLUMN falls integer NOT NULL DEFAULT 0, -- good readings lower than the good one before: rollover, exchange, dropout
    ADD COLUMN late_s double precision NOT NULL DEFAULT 0, -- seconds of covered_s that were filled in afterwards
    ADD COLUMN late_at timestamptz; -- when the last of them were

CREATE TABLE daily ( -- days of the site; mergeable like hourly
    point_id bigint NOT NULL,
    day date NOT NULL,
    starts_at timestamptz NOT NULL, -- the site's midnights: 23, 24 or 25 hours apart, or what its zone says
    ends_at timestamptz NOT NULL,
    n integer NOT NULL,
    good_n integer NOT NULL,
    sum double precision,
    min double precision,
    max double precision,
    first double precision,
    first_at timestamptz,
    last double precision,
    last_at timestamptz,
    covered_s double precision NOT NULL,
    integral double precision NOT NULL,
    falls integer NOT NULL,
    late_s double precision NOT NULL,
    PRIMARY KEY (point_id, day)
);

-- The log of marks says each hour many times; here it stands once.  Only the job that holds the lock touches these.
ALTER TABLE dirty_buckets ADD COLUMN marked_at timestamptz NOT NULL DEFAULT now();
CREATE TABLE dirty_hours (
    bucket timestamptz NOT NULL,
    point_id bigint NOT NULL,
    late boolean NOT NULL, -- every mark came well after the hour was over
    PRIMARY KEY (bucket, point_id)
);
CREATE TABLE dirty_days (
    day date NOT NULL,
    point_id bigint NOT NULL,
    PRIMARY KEY (day, point_id)
);
CREATE TABLE dirty_zones ( -- sites whose days are cut anew, and how far that has come
    site_id uuid PRIMARY KEY,
    after_point bigint NOT NULL DEFAULT 0
);

GRANT DELETE ON hourly TO plantroom_ingest;
GRANT SELECT, INSERT, UPDATE, DELETE ON daily, dirty_hours, dirty_days, dirty_zones TO plantroom_ingest;
GRANT SELECT ON daily TO plantroom_reader;
CREATE VIEW daily_readings WITH (security_barrier) AS
    SELECT p.organisation_id, p.site_id, p.device_id, p.code AS point, d.*
    FROM points p JOIN daily d ON d.point_id = p.id;
CREATE OR REPLACE VIEW hourly_readings WITH (security_barrier) AS
    SELECT p.organisation_id, p.site_id, p.device_id, p.code AS point, h.*
    FROM points p JOIN hourly h ON h.point_id = p.id;
GRANT CREATE ON SCHEMA public TO plantroom_reader;
ALTER VIEW daily_readings OWNER TO plantroom_reader;
REVOKE CREATE ON SCHEMA public FROM plantroom_reader;
GRANT SELECT ON daily_readings TO plantroom_app;

CREATE FUNCTION plantroom.zone_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO dirty_zones (site_id) VALUES (NEW.id) ON CONFLICT (site_id) DO UPDATE SET after_point = 0;
    RETURN NULL;
END
$$;
CREATE TRIGGER zone_changed AFTER UPDATE OF timezone ON sites FOR EACH ROW
    WHEN (OLD.timezone IS DISTINCT FROM NEW.timezone) EXECUTE FUNCTION plantroom.zone_changed();

-- The rollup of each span [start, end) of a point; a span without a reading has none.  The same as rules/meter/rollup.py,
-- where it is said in words.  192 is the good quality; whatever else a reading is, it ends what the one before it says.
CREATE FUNCTION plantroom.roll(points bigint[], starts timestamptz[], ends timestamptz[])
RETURNS TABLE (point_id bigint, starts_at timestamptz, n integer, good_n integer, sum double precision, min double precision,
               max double precision, first double precision, first_at timestamptz, last double precision, last_at timestamptz,
               covered_s double precision, integral double precision, falls integer)
LANGUAGE sql STABLE AS $$
    WITH course AS ( -- each reading with the next one, of whatever quality; before the first, the last of the hour before
        SELECT s.span, s.point_id, s.starts_at, r.inside, r.at, r.value, date_part('epoch', s.starts_at) AS begins_s, date_part('epoch', s.ends_at) AS ends_s,
               date_part('epoch', r.at) AS at_s, lead(date_part('epoch', r.at)) OVER (PARTITION BY s.span ORDER BY r.at) AS next_s
        FROM unnest(points, starts, ends) WITH ORDINALITY AS s (point_id, starts_at, ends_at, span)
        CROSS JOIN LATERAL (
            SELECT true AS inside, e.at, CASE WHEN e.quality = 192 THEN e.value END AS value
            FROM effective_samples e WHERE e.point_id = s.point_id AND e.at >= s.starts_at AND e.at < s.ends_at
            UNION ALL (
                SELECT false, e.at, CASE WHEN e.quality = 192 THEN e.value END FROM effective_samples e
                WHERE e.point_id = s.point_id AND e.at >= s.starts_at - interval '1 hour' AND e.at < s.starts_at
                ORDER BY e.at DESC LIMIT 1)) r
    ), rhythm AS ( -- the usual spacing: the mean of all but the longest
        SELECT *, count(*) FILTER (WHERE inside) OVER w AS n, count(value) OVER w AS goods,
               coalesce((sum(next_s - at_s) OVER w - max(next_s - at_s) OVER w) / nullif(count(next_s) OVER w - 1, 0),
                        max(next_s - at_s) OVER w, 0) AS usual_s
        FROM course
        WINDOW w AS (PARTITION BY span ORDER BY at ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
    ), spoken AS (
        SELECT span, point_id, starts_at, n, inside, at, value,
               greatest(least(next_s, at_s + 1.5 * least(greatest(usual_s, 60), 2400), ends_s) - greatest(at_s, begins_s), 0) AS seconds,
               lag(inside) OVER w AND value < lag(value) OVER w AS fell
        FROM rhythm WHERE n > 0 AND (value IS NOT NULL OR goods = 0)
        WINDOW w AS (PARTITION BY span ORDER BY at)
    )
    SELECT point_id, starts_at, n::int, count(value) FILTER (WHERE inside)::int, sum(value) FILTER (WHERE inside),
           min(value) FILTER (WHERE inside), max(value) FILTER (WHERE inside),
           (array_agg(value ORDER BY at) FILTER (WHERE inside AND value IS NOT NULL))[1],
           min(at) FILTER (WHERE inside AND value IS NOT NULL),
           (array_agg(value ORDER BY at) FILTER (WHERE inside AND value IS NOT NULL))[count(value) FILTER (WHERE inside)],
           max(at) FILTER (WHERE inside AND value IS NOT NULL),
           coalesce(sum(seconds) FILTER (WHERE value IS NOT NULL), 0), coalesce(sum(value * seconds), 0), count(*) FILTER (WHERE fell)::int
    FROM spoken GROUP BY span, point_id, starts_at, n
$$;
REVOKE ALL ON FUNCTION plantroom.roll FROM PUBLIC;
GRANT EXECUTE ON FUNCTION plantroom.roll TO plantroom_ingest;

INSERT INTO dirty_buckets (point_id, bucket) SELECT point_id, bucket FROM hourly; -- made before coverage was counted
