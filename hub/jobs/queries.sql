-- name: organisations
SELECT id FROM organisations ORDER BY id;

-- name: hold_rollups
SELECT pg_advisory_xact_lock(hashtext('plantroom.rollups'));

-- Marks are deleted in a transaction before the one that reads samples: whatever snapshot that has, it sees the samples
-- that were committed together with them.
-- name: gather
WITH taken AS (
    DELETE FROM dirty_buckets
    WHERE id <= (SELECT max(id) FROM (SELECT id FROM dirty_buckets ORDER BY id LIMIT %(most)s) first)
    RETURNING point_id, bucket, marked_at
), gathered AS (
    INSERT INTO dirty_hours (bucket, point_id, late)
    SELECT date_bin('1 hour', bucket, '2000-01-01 00:00+00') AS hour, point_id,
           bool_and(marked_at > bucket + interval '1 hour' + %(late_after)s)
    FROM taken GROUP BY 1, 2
    ON CONFLICT (bucket, point_id) DO UPDATE SET late = false WHERE dirty_hours.late AND NOT excluded.late
)
SELECT count(*)::int FROM taken;

-- name: count_running
SELECT count(*)::int FROM (SELECT FROM dirty_hours WHERE bucket >= %(hour)s LIMIT %(most)s) running;

-- name: hours_to_make
SELECT DISTINCT s.timezone, h.bucket
FROM (SELECT bucket, point_id FROM dirty_hours WHERE bucket < %(before)s ORDER BY bucket, point_id LIMIT %(most)s) h
JOIN points p ON p.id = h.point_id JOIN sites s ON s.id = p.site_id;

-- The hour after a marked one is made too where it is there: the last reading of the one reaches into the other.  Rows are
-- taken by their place: whoever holds the lock is alone here, and a join of the list with itself grows with its square.
-- name: rebuild_hours
WITH taken AS (
    DELETE FROM dirty_hours
    WHERE ctid = ANY(ARRAY(SELECT ctid FROM dirty_hours WHERE bucket < %(before)s ORDER BY bucket, point_id LIMIT %(most)s))
    RETURNING point_id, bucket, late
), hours AS (
    SELECT point_id, bucket FROM taken
    UNION SELECT h.point_id, h.bucket FROM taken t
          JOIN hourly h ON h.point_id = t.point_id AND h.bucket = t.bucket + interval '1 hour'
          WHERE NOT EXISTS (SELECT FROM dirty_hours d WHERE d.point_id = h.point_id AND d.bucket = h.bucket) -- its turn comes
), rolled AS MATERIALIZED (
    SELECT r.* FROM (SELECT array_agg(point_id ORDER BY point_id, bucket) AS points,
                            array_agg(bucket ORDER BY point_id, bucket) AS starts FROM hours) h
    CROSS JOIN LATERAL plantroom.roll(h.points, h.starts, (SELECT array_agg(at + interval '1 hour' ORDER BY place)
                                                           FROM unnest(h.starts) WITH ORDINALITY AS u (at, place))) r
), made AS (
    INSERT INTO hourly (point_id, bucket, n, good_n, sum, min, max, first, first_at, last, last_at, covered_s, integral, falls,
                        late_s, late_at)
    SELECT r.point_id, r.starts_at, r.n, r.good_n, r.sum, r.min, r.max, r.first, r.first_at, r.last, r.last_at, r.covered_s,
           r.integral, r.falls, CASE WHEN t.late THEN r.covered_s ELSE 0 END, CASE WHEN t.late THEN now() END
    FROM rolled r LEFT JOIN taken t ON t.point_id = r.point_id AND t.bucket = r.starts_at
    ON CONFLICT (point_id, bucket) DO UPDATE SET n = excluded.n, good_n = excluded.good_n, sum = excluded.sum,
        min = excluded.min, max = excluded.max, first = excluded.first, first_at = excluded.first_at, last = excluded.last,
        last_at = excluded.last_at, covered_s = excluded.covered_s, integral = excluded.integral, falls = excluded.falls,
        late_s = CASE WHEN excluded.late_at IS NULL THEN hourly.late_s
                      ELSE least(hourly.late_s + greatest(excluded.covered_s - hourly.covered_s, 0), excluded.covered_s) END,
        late_at = CASE WHEN excluded.covered_s > hourly.covered_s THEN coalesce(excluded.late_at, hourly.late_at)
                       ELSE hourly.late_at END
), gone AS (
    DELETE FROM hourly h
    USING (SELECT point_id, bucket FROM taken EXCEPT SELECT point_id, starts_at FROM rolled) g
    WHERE h.point_id = g.point_id AND h.bucket = g.bucket
), marked AS (
    INSERT INTO dirty_days (day, point_id)
    SELECT DISTINCT z.day, t.point_id
    FROM taken t JOIN points p ON p.id = t.point_id JOIN sites s ON s.id = p.site_id
    JOIN unnest(%(zones)s::text[], %(buckets)s::timestamptz[], %(days)s::date[]) AS z (timezone, bucket, day)
        ON z.timezone = s.timezone AND z.bucket = t.bucket
    ON CONFLICT DO NOTHING
)
SELECT point_id, bucket FROM taken;

-- name: days_to_make
SELECT DISTINCT s.timezone, d.day
FROM (SELECT day, point_id FROM dirty_days ORDER BY day, point_id LIMIT %(most)s) d
JOIN points p ON p.id = d.point_id JOIN sites s ON s.id = p.site_id;

-- name: rebuild_days
WITH taken AS (
    DELETE FROM dirty_days
    WHERE ctid = ANY(ARRAY(SELECT ctid FROM dirty_days ORDER BY day, point_id LIMIT %(most)s))
    RETURNING point_id, day
), days AS MATERIALIZED (
    SELECT t.point_id, t.day, z.starts_at, z.ends_at,
           date_bin('1 hour', z.starts_at + interval '1 hour' - interval '1 microsecond', '2000-01-01 00:00+00') AS first_hour,
           date_bin('1 hour', z.ends_at, '2000-01-01 00:00+00') AS past_hour
    FROM taken t JOIN points p ON p.id = t.point_id JOIN sites s ON s.id = p.site_id
    JOIN unnest(%(zones)s::text[], %(days)s::date[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
        AS z (timezone, day, starts_at, ends_at) ON z.timezone = s.timezone AND z.day = t.day
), cut AS ( -- pieces of hours that midnight cuts
    SELECT point_id, day, starts_at, first_hour AS ends_at, starts_at AS since, ends_at AS until
    FROM days WHERE starts_at < first_hour
    UNION ALL SELECT point_id, day, past_hour, ends_at, starts_at, ends_at FROM days WHERE past_hour < ends_at
), parts AS (
    SELECT d.point_id, d.day, h.bucket AS starts_at, h.n, h.good_n, h.sum, h.min, h.max, h.first, h.first_at, h.last, h.last_at,
           h.covered_s, h.integral, h.falls, h.late_s, d.starts_at AS since, d.ends_at AS until
    FROM days d JOIN hourly h ON h.point_id = d.point_id AND h.bucket >= d.first_hour AND h.bucket < d.past_hour
    UNION ALL
    SELECT c.point_id, c.day, r.starts_at, r.n, r.good_n, r.sum, r.min, r.max, r.first, r.first_at, r.last, r.last_at,
           r.covered_s, r.integral, r.falls, 0, c.since, c.until
    FROM (SELECT array_agg(point_id ORDER BY point_id, starts_at) AS points, array_agg(starts_at ORDER BY point_id, starts_at) AS starts,
                 array_agg(ends_at ORDER BY point_id, starts_at) AS ends FROM cut) a
    CROSS JOIN LATERAL plantroom.roll(a.points, a.starts, a.ends) r
    JOIN cut c ON c.point_id = r.point_id AND c.starts_at = r.starts_at
), ordered AS (
    SELECT *, lag(last) OVER (PARTITION BY point_id, day, good_n > 0 ORDER BY starts_at) AS last_before FROM parts
), merged AS MATERIALIZED (
    SELECT point_id, day, since, until, sum(n)::int AS n, sum(good_n)::int AS good_n, sum(sum) AS sum, min(min) AS min, max(max) AS max,
           (array_agg(first ORDER BY starts_at) FILTER (WHERE good_n > 0))[1] AS first, min(first_at) AS first_at,
           (array_agg(last ORDER BY starts_at DESC) FILTER (WHERE good_n > 0))[1] AS last, max(last_at) AS last_at,
           sum(covered_s) AS covered_s, sum(integral) AS integral,
           (sum(falls) + count(*) FILTER (WHERE first < last_before))::int AS falls, sum(late_s) AS late_s
    FROM ordered GROUP BY point_id, day, since, until
), made AS (
    INSERT INTO daily (point_id, day, starts_at, ends_at, n, good_n, sum, min, max, first, first_at, last, last_at, covered_s,
                       integral, falls, late_s)
    SELECT point_id, day, since, until, n, good_n, sum, min, max, first, first_at, last, last_at, covered_s, integral, falls, late_s
    FROM merged
    ON CONFLICT (point_id, day) DO UPDATE SET starts_at = excluded.starts_at, ends_at = excluded.ends_at, n = excluded.n,
        good_n = excluded.good_n, sum = excluded.sum, min = excluded.min, max = excluded.max, first = excluded.first,
        first_at = excluded.first_at, last = excluded.last, last_at = excluded.last_at, covered_s = excluded.covered_s,
        integral = excluded.integral, falls = excluded.falls, late_s = excluded.late_s
), gone AS (
    DELETE FROM daily d USING (SELECT point_id, day FROM taken EXCEPT SELECT point_id, day FROM merged) g
    WHERE d.point_id = g.point_id AND d.day = g.day
)
SELECT count(*)::int AS n FROM taken;

-- A zone lies within a day of UTC: the days beside are marked too, and days without a reading get no row.
-- name: recut_days
WITH site AS (
    SELECT site_id, after_point FROM dirty_zones ORDER BY site_id LIMIT 1 FOR UPDATE
), chosen AS (
    SELECT p.id FROM points p JOIN site ON p.site_id = site.site_id AND p.id > site.after_point ORDER BY p.id LIMIT %(most)s
), gone AS (
    DELETE FROM daily d USING chosen WHERE d.point_id = chosen.id
), marked AS (
    INSERT INTO dirty_days (day, point_id)
    SELECT DISTINCT (h.bucket AT TIME ZONE 'UTC')::date + beside, h.point_id
    FROM hourly h JOIN chosen ON chosen.id = h.point_id CROSS JOIN generate_series(-1, 1) beside
    ON CONFLICT DO NOTHING
), further AS (
    UPDATE dirty_zones z SET after_point = (SELECT max(id) FROM chosen) FROM site
    WHERE z.site_id = site.site_id AND EXISTS (SELECT FROM chosen)
), done AS (
    DELETE FROM dirty_zones z USING site WHERE z.site_id = site.site_id AND NOT EXISTS (SELECT FROM chosen)
)
SELECT count(*)::int FROM site;

-- name: drop_quarantine
DELETE FROM quarantine WHERE id <= (SELECT max(id) FROM quarantine) - %(most)s::bigint;

-- Our own edges report every 10 s; an edge of another maker may be silent for as long as nothing changes.
-- name: miss_gateways
UPDATE gateways SET online = false WHERE online AND spool <> '' AND seen_at < %(silent_since)s
RETURNING id, organisation_id;

-- name: announce_gateway
SELECT pg_notify('plantroom_live', json_build_object('kind', 'gateway', 'id', %(id)s::text,
                                                     'organisation', %(organisation)s::text)::text);

-- name: try_hold
SELECT pg_try_advisory_lock(hashtext('plantroom.jobs'));
