-- name: organisations
SELECT id FROM organisations ORDER BY id;

-- name: hold_rollups
SELECT pg_advisory_xact_lock(hashtext('plantroom.rollups'));

-- The series may be spread over several nodes; bookkeeping and points are not.  So no statement speaks of both, none that
-- changes a series reads another, and what passes between them passes through the program.  See hub/store/series.py.
-- name: on_nodes
SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus');

-- name: last_mark
SELECT max(id) FROM (SELECT id FROM dirty_buckets ORDER BY id LIMIT %(most)s) first;

-- Marks are deleted in a transaction before the one that reads samples: whatever snapshot that has, it sees the samples
-- that were committed together with them.
-- name: take_marks
WITH taken AS (DELETE FROM dirty_buckets WHERE id <= %(last)s RETURNING point_id, bucket, marked_at)
SELECT point_id, date_bin('1 hour', bucket, '2000-01-01 00:00+00') AS bucket,
       bool_and(marked_at > bucket + interval '1 hour' + %(late_after)s) AS late, count(*)::int AS n
FROM taken GROUP BY 1, 2;

-- name: count_round
SELECT plantroom.count_round();

-- name: mark_hours
INSERT INTO dirty_hours (bucket, point_id, late)
SELECT * FROM unnest(%(buckets)b::timestamptz[], %(points)b::bigint[], %(late)b::boolean[])
ON CONFLICT (bucket, point_id) DO UPDATE SET late = false WHERE dirty_hours.late AND NOT excluded.late;

-- name: count_running
SELECT count(*)::int FROM (SELECT FROM dirty_hours WHERE bucket >= %(hour)s LIMIT %(most)s) running;

-- Lists go in binary: as text a list of moments takes twenty times as long.
-- Rows are taken by their place: whoever holds the lock is alone here, and a join of the list with itself grows with its
-- square.
-- name: take_hours
WITH taken AS (
    DELETE FROM dirty_hours
    WHERE ctid = ANY(ARRAY(SELECT ctid FROM dirty_hours WHERE bucket < %(before)s ORDER BY bucket, point_id LIMIT %(most)s))
    RETURNING point_id, bucket, late
)
SELECT t.point_id, t.bucket, t.late, s.timezone
FROM taken t LEFT JOIN points p ON p.id = t.point_id LEFT JOIN sites s ON s.id = p.site_id
ORDER BY t.point_id, t.bucket;

-- name: unmarked
SELECT h.point_id, h.bucket FROM unnest(%(points)b::bigint[], %(buckets)b::timestamptz[]) AS h (point_id, bucket)
WHERE NOT EXISTS (SELECT FROM dirty_hours d WHERE d.point_id = h.point_id AND d.bucket = h.bucket);

-- name: hours_there
SELECT h.point_id, h.bucket
FROM unnest(%(points)b::bigint[], %(buckets)b::timestamptz[]) AS s (point_id, bucket)
JOIN hourly h ON h.point_id = s.point_id AND h.bucket = s.bucket
WHERE h.point_id = ANY(%(points)b::bigint[]);

-- What the nodes hold is fetched before anything is made of it; one server is asked directly (hub/jobs/nodes.py).
-- name: make_samples_here
CREATE TEMP TABLE IF NOT EXISTS samples_here (LIKE effective_samples, PRIMARY KEY (point_id, at)) ON COMMIT DELETE ROWS;

-- name: make_hours_here
CREATE TEMP TABLE IF NOT EXISTS hours_here (LIKE hourly, PRIMARY KEY (point_id, bucket)) ON COMMIT DELETE ROWS;

-- name: fetch_samples
INSERT INTO samples_here (point_id, at, value, quality)
SELECT e.point_id, e.at, e.value, e.quality
FROM unnest(%(points)b::bigint[], %(starts)b::timestamptz[], %(ends)b::timestamptz[]) AS s (point_id, starts_at, ends_at)
JOIN effective_samples e ON e.point_id = s.point_id AND e.at >= s.starts_at AND e.at < s.ends_at
WHERE e.point_id = ANY(%(points)b::bigint[]) AND e.at >= %(first)s AND e.at < %(past)s;

-- name: fetch_hours
INSERT INTO hours_here
SELECT h.*
FROM unnest(%(points)b::bigint[], %(starts)b::timestamptz[], %(ends)b::timestamptz[]) AS s (point_id, starts_at, ends_at)
JOIN hourly h ON h.point_id = s.point_id AND h.bucket >= s.starts_at AND h.bucket < s.ends_at
WHERE h.point_id = ANY(%(points)b::bigint[]) AND h.bucket >= %(first)s AND h.bucket < %(past)s;

-- Hours of points.  The sub-select keeps the function whole: drawn into the statement it is planned worse.
-- name: roll
SELECT r.point_id, r.starts_at, r.n, r.good_n, r.sum, r.min, r.max, r.first, r.first_at, r.last, r.last_at, r.covered_s,
       r.integral, r.falls
FROM (SELECT %(points)b::bigint[] AS points, %(starts)b::timestamptz[] AS starts) s
CROSS JOIN LATERAL plantroom.roll_here(s.points, s.starts, (SELECT array_agg(at + interval '1 hour' ORDER BY place)
                                                            FROM unnest(s.starts) WITH ORDINALITY AS u (at, place))) r;

-- name: put_hours
INSERT INTO hourly (point_id, bucket, n, good_n, sum, min, max, first, first_at, last, last_at, covered_s, integral, falls,
                    late_s, late_at)
SELECT point_id, starts_at, n, good_n, sum, min, max, first, first_at, last, last_at, covered_s, integral, falls,
       CASE WHEN late THEN covered_s ELSE 0 END, CASE WHEN late THEN now() END
FROM unnest(%(point_id)b::bigint[], %(starts_at)b::timestamptz[], %(n)b::int[], %(good_n)b::int[], %(sum)b::float8[],
            %(min)b::float8[], %(max)b::float8[], %(first)b::float8[], %(first_at)b::timestamptz[], %(last)b::float8[],
            %(last_at)b::timestamptz[], %(covered_s)b::float8[], %(integral)b::float8[], %(falls)b::int[], %(late)b::boolean[])
     AS r (point_id, starts_at, n, good_n, sum, min, max, first, first_at, last, last_at, covered_s, integral, falls, late)
ON CONFLICT (point_id, bucket) DO UPDATE SET n = excluded.n, good_n = excluded.good_n, sum = excluded.sum,
    min = excluded.min, max = excluded.max, first = excluded.first, first_at = excluded.first_at, last = excluded.last,
    last_at = excluded.last_at, covered_s = excluded.covered_s, integral = excluded.integral, falls = excluded.falls,
    late_s = CASE WHEN excluded.late_at IS NULL THEN hourly.late_s
                  ELSE least(hourly.late_s + greatest(excluded.covered_s - hourly.covered_s, 0), excluded.covered_s) END,
    late_at = CASE WHEN excluded.covered_s > hourly.covered_s THEN coalesce(excluded.late_at, hourly.late_at)
                   ELSE hourly.late_at END;

-- name: drop_hours
DELETE FROM hourly WHERE point_id = %(point)s AND bucket = ANY(%(keys)b::timestamptz[]);

-- name: mark_days
INSERT INTO dirty_days (day, point_id)
SELECT * FROM unnest(%(days)b::date[], %(points)b::bigint[])
ON CONFLICT DO NOTHING;

-- name: take_days
WITH taken AS (
    DELETE FROM dirty_days
    WHERE ctid = ANY(ARRAY(SELECT ctid FROM dirty_days ORDER BY day, point_id LIMIT %(most)s))
    RETURNING point_id, day
)
SELECT t.point_id, t.day, s.timezone
FROM taken t LEFT JOIN points p ON p.id = t.point_id LEFT JOIN sites s ON s.id = p.site_id
ORDER BY t.point_id, t.day;

-- Days of whole hours and of the pieces of hours that midnight cuts.
-- name: merge_days
WITH days AS MATERIALIZED (
    SELECT * FROM unnest(%(points)b::bigint[], %(days)b::date[], %(sinces)b::timestamptz[], %(untils)b::timestamptz[],
                         %(starts)b::timestamptz[], %(ends)b::timestamptz[])
                  AS d (point_id, day, since, until, first_hour, past_hour)
), parts AS (
    SELECT d.point_id, d.day, h.bucket AS starts_at, h.n, h.good_n, h.sum, h.min, h.max, h.first, h.first_at, h.last, h.last_at,
           h.covered_s, h.integral, h.falls, h.late_s, d.since, d.until
    FROM days d JOIN hours_here h ON h.point_id = d.point_id AND h.bucket >= d.first_hour AND h.bucket < d.past_hour
    UNION ALL
    SELECT d.point_id, d.day, r.starts_at, r.n, r.good_n, r.sum, r.min, r.max, r.first, r.first_at, r.last, r.last_at,
           r.covered_s, r.integral, r.falls, 0, d.since, d.until
    FROM plantroom.roll_here(%(cut_points)b::bigint[], %(cut_starts)b::timestamptz[], %(cut_ends)b::timestamptz[]) r
    JOIN unnest(%(cut_points)b::bigint[], %(cut_starts)b::timestamptz[], %(cut_days)b::date[]) AS c (point_id, starts_at, day)
        ON c.point_id = r.point_id AND c.starts_at = r.starts_at
    JOIN days d ON d.point_id = c.point_id AND d.day = c.day
), ordered AS (
    SELECT *, lag(last) OVER (PARTITION BY point_id, day, good_n > 0 ORDER BY starts_at) AS last_before FROM parts
)
SELECT point_id, day, since AS starts_at, until AS ends_at, sum(n)::int AS n, sum(good_n)::int AS good_n, sum(sum) AS sum,
       min(min) AS min, max(max) AS max,
       (array_agg(first ORDER BY starts_at) FILTER (WHERE good_n > 0))[1] AS first, min(first_at) AS first_at,
       (array_agg(last ORDER BY starts_at DESC) FILTER (WHERE good_n > 0))[1] AS last, max(last_at) AS last_at,
       sum(covered_s) AS covered_s, sum(integral) AS integral,
       (sum(falls) + count(*) FILTER (WHERE first < last_before))::int AS falls, sum(late_s) AS late_s
FROM ordered GROUP BY point_id, day, since, until;

-- name: put_days
INSERT INTO daily (point_id, day, starts_at, ends_at, n, good_n, sum, min, max, first, first_at, last, last_at, covered_s,
                   integral, falls, late_s)
SELECT *
FROM unnest(%(point_id)b::bigint[], %(day)b::date[], %(starts_at)b::timestamptz[], %(ends_at)b::timestamptz[], %(n)b::int[],
            %(good_n)b::int[], %(sum)b::float8[], %(min)b::float8[], %(max)b::float8[], %(first)b::float8[],
            %(first_at)b::timestamptz[], %(last)b::float8[], %(last_at)b::timestamptz[], %(covered_s)b::float8[],
            %(integral)b::float8[], %(falls)b::int[], %(late_s)b::float8[])
ON CONFLICT (point_id, day) DO UPDATE SET starts_at = excluded.starts_at, ends_at = excluded.ends_at, n = excluded.n,
    good_n = excluded.good_n, sum = excluded.sum, min = excluded.min, max = excluded.max, first = excluded.first,
    first_at = excluded.first_at, last = excluded.last, last_at = excluded.last_at, covered_s = excluded.covered_s,
    integral = excluded.integral, falls = excluded.falls, late_s = excluded.late_s;

-- name: drop_days
DELETE FROM daily WHERE point_id = %(point)s AND day = ANY(%(keys)b::date[]);

-- name: next_zone
SELECT site_id, after_point FROM dirty_zones ORDER BY site_id LIMIT 1 FOR UPDATE;

-- name: points_of_zone
SELECT array_agg(id ORDER BY id)
FROM (SELECT id FROM points WHERE site_id = %(site)s AND id > %(after)s ORDER BY id LIMIT %(most)s) next;

-- name: drop_all_days
DELETE FROM daily WHERE point_id = ANY(%(points)b::bigint[]);

-- name: utc_days
SELECT point_id, array_agg(DISTINCT (bucket AT TIME ZONE 'UTC')::date) AS days
FROM hourly WHERE point_id = ANY(%(points)b::bigint[]) GROUP BY point_id;

-- name: pass_points
UPDATE dirty_zones SET after_point = %(last)s WHERE site_id = %(site)s;

-- name: end_zone
DELETE FROM dirty_zones WHERE site_id = %(site)s;

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
