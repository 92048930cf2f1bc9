-- name: point
SELECT p.id, p.site_id, p.device_id, p.code, p.measure, p.kind, p.unit, p.resolution, p.modulus, d.code AS device,
       d.name_zh AS device_name_zh, d.name_en AS device_name_en, s.timezone
FROM points p JOIN devices d ON d.id = p.device_id JOIN sites s ON s.id = p.site_id
WHERE p.code = %(code)s;

-- name: point_code
SELECT code FROM points WHERE id = %(point)s;

-- name: series
SELECT at, value, quality FROM readings
WHERE point_id = %(point)s AND at >= %(start)s AND at < %(end)s
ORDER BY at
LIMIT %(most)s;

-- name: last_good_before
SELECT at, value, quality FROM readings
WHERE point_id = %(point)s AND at >= %(start)s AND at < %(end)s AND quality = ANY(%(good)s) AND value IS NOT NULL
ORDER BY at DESC
LIMIT 1;

-- name: first_good_from
SELECT at, value, quality FROM readings
WHERE point_id = %(point)s AND at >= %(start)s AND at <= %(end)s AND quality = ANY(%(good)s) AND value IS NOT NULL
ORDER BY at
LIMIT 1;

-- name: chart_of_readings
SELECT date_bin(%(step)s, at, %(start)s) AS at, count(*)::int AS n, min(value) AS min, max(value) AS max,
       (array_agg(value ORDER BY at DESC))[1] AS last
FROM readings
WHERE point_id = %(point)s AND at >= %(start)s AND at < %(end)s AND quality = ANY(%(good)s) AND value IS NOT NULL
GROUP BY 1
ORDER BY 1;

-- name: chart_of_hours
SELECT date_bin(%(step)s, bucket, %(start)s) AS at, sum(good_n)::int AS n, min(min) AS min, max(max) AS max,
       (array_agg(last ORDER BY bucket DESC))[1] AS last
FROM hourly_readings
WHERE point_id = %(point)s AND bucket >= %(start)s AND bucket < %(end)s AND good_n > 0
GROUP BY 1
ORDER BY 1;

-- name: newest
SELECT point_id, date_part('epoch', at) AS at_s, coalesce(value, 'NaN') AS value, quality::bigint AS quality
FROM latest_readings WHERE point_id = ANY(%(points)s::bigint[]);

-- name: latest
SELECT p.id AS point_id, p.code AS point, p.measure, p.kind, p.unit, p.resolution, p.device_id, d.code AS device,
       d.name_zh AS device_name_zh, d.name_en AS device_name_en, s.code AS space, l.at, l.value, l.quality
FROM points p
JOIN devices d ON d.id = p.device_id
JOIN spaces s ON s.id = d.space_id
LEFT JOIN latest_readings l ON l.point_id = p.id
WHERE (%(site)s::uuid IS NULL OR p.site_id = %(site)s) AND (%(device)s::uuid IS NULL OR p.device_id = %(device)s)
  AND p.code > %(after)s
ORDER BY p.code
LIMIT %(most)s;

-- name: completeness
SELECT p.id AS point_id, p.code AS point, coalesce(h.good, 0) AS hours_good, %(hours)s::int AS hours,
       coalesce(h.n, 0) AS readings, h.first_at, h.last_at
FROM points p
LEFT JOIN (
    SELECT point_id, count(*) FILTER (WHERE good_n > 0)::int AS good, sum(n)::int AS n, min(first_at) AS first_at,
           max(last_at) AS last_at
    FROM hourly_readings
    WHERE bucket >= %(start)s AND bucket < %(end)s AND (%(site)s::uuid IS NULL OR site_id = %(site)s)
    GROUP BY point_id) h ON h.point_id = p.id
WHERE (%(site)s::uuid IS NULL OR p.site_id = %(site)s)
ORDER BY p.code;

-- name: points_named
SELECT p.id, p.site_id, p.device_id, p.code, p.measure, p.kind, p.unit, p.resolution, p.modulus, d.code AS device,
       d.name_zh AS device_name_zh, d.name_en AS device_name_en, s.timezone
FROM points p JOIN devices d ON d.id = p.device_id JOIN sites s ON s.id = p.site_id
WHERE p.code = ANY(%(codes)s::text[])
ORDER BY p.code COLLATE "C";

-- name: site_named
SELECT id, code, timezone FROM sites WHERE code = %(code)s;

-- name: some_sites
SELECT id, code, timezone FROM sites ORDER BY code LIMIT %(most)s;

-- name: device_named
SELECT id FROM devices WHERE code = %(code)s;

-- name: series_after
SELECT at, value, quality FROM readings
WHERE point_id = %(point)s AND at >= %(start)s AND at < %(end)s AND at > %(after)s
ORDER BY at
LIMIT %(most)s;

-- name: hours_after
SELECT bucket AS at, n, good_n, min, max, sum / nullif(good_n, 0) AS mean, first, last, covered_s, 3600.0::double precision AS step_s,
       integral / nullif(covered_s, 0) AS time_mean
FROM hourly_readings
WHERE point_id = %(point)s AND bucket >= %(start)s AND bucket < %(end)s AND bucket > %(after)s
ORDER BY bucket
LIMIT %(most)s;

-- Days of the site that a period touches, as they were rolled up: 23, 24 or 25 hours long.
-- name: days_after
SELECT starts_at AS at, n, good_n, min, max, sum / nullif(good_n, 0) AS mean, first, last, covered_s,
       date_part('epoch', ends_at - starts_at) AS step_s, integral / nullif(covered_s, 0) AS time_mean
FROM daily_readings
WHERE point_id = %(point)s AND day >= (%(start)s::timestamptz AT TIME ZONE %(zone)s)::date
  AND day <= (%(end)s::timestamptz AT TIME ZONE %(zone)s)::date AND starts_at < %(end)s AND starts_at > %(after)s
ORDER BY day
LIMIT %(most)s;

-- name: count_readings
SELECT count(*) FROM (
    SELECT 1 FROM readings WHERE point_id = ANY(%(points)s::bigint[]) AND at >= %(start)s AND at < %(end)s
    LIMIT %(most)s) AS found;

-- name: raw_columns
SELECT array_agg(extract(epoch FROM at)::float8) AS at,
       array_agg(CASE WHEN quality = ANY(%(good)s) THEN value END) AS value
FROM (SELECT at, value, quality FROM readings
      WHERE point_id = %(point)s AND at >= %(start)s AND at < %(end)s
      ORDER BY at
      LIMIT %(most)s) AS found;

-- name: hour_columns
SELECT array_agg(extract(epoch FROM bucket)::float8) AS at, array_agg(good_n) AS n, array_agg(sum) AS sum,
       array_agg(covered_s) AS covered_s, array_agg(integral) AS integral,
       array_agg(min) AS min, array_agg(max) AS max, array_agg(last) AS last
FROM (SELECT bucket, good_n, sum, covered_s, integral, min, max, last FROM hourly_readings
      WHERE point_id = %(point)s AND bucket >= %(start)s AND bucket < %(end)s AND good_n > 0
      ORDER BY bucket) AS found;

-- name: day_columns
SELECT array_agg(extract(epoch FROM starts_at)::float8) AS at, array_agg(good_n) AS n, array_agg(sum) AS sum,
       array_agg(covered_s) AS covered_s, array_agg(integral) AS integral,
       array_agg(min) AS min, array_agg(max) AS max, array_agg(last) AS last
FROM (SELECT starts_at, good_n, sum, covered_s, integral, min, max, last FROM daily_readings
      WHERE point_id = %(point)s AND day >= (%(start)s::timestamptz AT TIME ZONE %(zone)s)::date
        AND day <= (%(end)s::timestamptz AT TIME ZONE %(zone)s)::date AND starts_at < %(end)s AND good_n > 0
      ORDER BY day) AS found;

-- name: latest_of
SELECT p.code AS point, p.measure, p.kind, p.unit, t.code AS site, d.code AS device, s.code AS space, l.at, l.value,
       l.quality
FROM points p
JOIN devices d ON d.id = p.device_id
JOIN spaces s ON s.id = d.space_id
JOIN sites t ON t.id = p.site_id
LEFT JOIN latest_readings l ON l.point_id = p.id
WHERE (%(site)s::uuid IS NULL OR p.site_id = %(site)s) AND (%(device)s::uuid IS NULL OR p.device_id = %(device)s)
  AND (%(codes)s::text[] IS NULL OR p.code = ANY(%(codes)s)) AND p.code > %(after)s
ORDER BY p.code
LIMIT %(most)s;

-- name: exchanges
SELECT x.at, x.final, x.resolution_before, x.modulus_before, x.multiplier_before, x.initial, x.resolution, x.modulus,
       x.multiplier
FROM meter_exchanges x JOIN corrections c ON c.id = x.correction_id
WHERE x.point_id = %(point)s AND c.state = 'in_force'
ORDER BY x.at LIMIT %(most)s;

-- name: exchanges_of_points
SELECT x.point_id, x.at, x.final, x.resolution_before, x.modulus_before, x.multiplier_before, x.initial, x.resolution,
       x.modulus, x.multiplier
FROM meter_exchanges x JOIN corrections c ON c.id = x.correction_id
WHERE x.point_id = ANY(%(points)s::bigint[]) AND x.at < %(until)s AND c.state = 'in_force'
ORDER BY x.point_id, x.at;

-- name: counters
SELECT id AS point_id, code AS point, unit, resolution, modulus FROM points WHERE id = ANY(%(points)s::bigint[]) ORDER BY code;

-- Read by column (hub/readings/columns.py): whole numbers and doubles alone, none of them missing.
-- name: face_columns
SELECT point_id, (day - %(first)s::date)::bigint AS place, falls::bigint AS falls, first, last,
       date_part('epoch', first_at) AS first_s, date_part('epoch', last_at) AS last_s, date_part('epoch', starts_at) AS starts_s
FROM daily_readings
WHERE point_id = ANY(%(points)s::bigint[]) AND day >= %(first)s::date - %(margin)s::int
  AND day < %(past)s::date + %(margin)s::int AND good_n > 0;

-- name: day_faces
SELECT point_id, day, starts_at, ends_at, first, first_at, last, last_at, falls
FROM daily_readings
WHERE point_id = ANY(%(points)s::bigint[]) AND day >= %(first)s::date - %(margin)s::int AND day < %(past)s::date + %(margin)s::int
  AND good_n > 0
ORDER BY point_id, day;

-- name: good_readings
SELECT r.point_id, r.at, r.value
FROM unnest(%(points)s::bigint[], %(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS span (point_id, starts_at, ends_at)
JOIN readings r ON r.point_id = span.point_id AND r.at >= span.starts_at AND r.at < span.ends_at
WHERE r.quality = ANY(%(good)s) AND r.value IS NOT NULL
ORDER BY r.point_id, r.at
LIMIT %(most)s;

-- Completeness.  A point counts from its first reading on; before that nothing was there to be missing.
-- name: complete_devices
WITH known AS MATERIALIZED (
    SELECT p.id, p.device_id, f.day AS first_day, f.first_at FROM points p
    CROSS JOIN LATERAL (SELECT r.point_id, min(r.day) AS day,
                               (array_agg(coalesce(r.first_at, r.starts_at) ORDER BY r.day))[1] AS first_at
                        FROM daily_readings r WHERE r.point_id = p.id GROUP BY r.point_id) f
    WHERE p.site_id = %(site)s AND (%(device)s::uuid IS NULL OR p.device_id = %(device)s)
)
SELECT d.id AS device_id, d.code AS device, d.name_zh, d.name_en, g.code AS gateway, z.place::int AS place,
       count(*)::int AS points, sum(e.seconds) AS expected_s, sum(least(coalesce(r.covered_s, 0), e.seconds)) AS covered_s,
       sum(coalesce(r.late_s, 0)) AS late_s, coalesce(sum(r.n), 0)::int AS readings, coalesce(sum(r.n - r.good_n), 0)::int AS bad
FROM known k JOIN devices d ON d.id = k.device_id JOIN gateways g ON g.id = d.gateway_id
JOIN unnest(%(days)s::date[], %(starts)s::timestamptz[], %(ends)s::timestamptz[]) WITH ORDINALITY AS z (day, starts_at, ends_at, place)
    ON z.day >= k.first_day
CROSS JOIN LATERAL (SELECT greatest(date_part('epoch', z.ends_at - greatest(z.starts_at, k.first_at)), 0) AS seconds) e
LEFT JOIN (SELECT point_id, day, covered_s, late_s, n, good_n FROM daily_readings
           WHERE site_id = %(site)s AND day = ANY(%(days)s::date[])) r ON r.point_id = k.id AND r.day = z.day
GROUP BY d.id, d.code, d.name_zh, d.name_en, g.code, z.place
ORDER BY g.code, d.code, z.place;

-- name: complete_points
WITH known AS MATERIALIZED (
    SELECT p.id, p.code, p.measure, p.kind, p.unit, p.device_id, f.day AS first_day, f.first_at FROM points p
    CROSS JOIN LATERAL (SELECT r.point_id, min(r.day) AS day,
                               (array_agg(coalesce(r.first_at, r.starts_at) ORDER BY r.day))[1] AS first_at
                        FROM daily_readings r WHERE r.point_id = p.id GROUP BY r.point_id) f
    WHERE p.site_id = %(site)s AND (%(device)s::uuid IS NULL OR p.device_id = %(device)s)
      AND (%(point)s::text IS NULL OR p.code = %(point)s)
)
SELECT k.id AS point_id, k.code AS point, k.measure, d.code AS device, g.code AS gateway, k.first_at AS since,
       sum(e.seconds) AS expected_s, sum(least(coalesce(r.covered_s, 0), e.seconds)) AS covered_s,
       sum(coalesce(r.late_s, 0)) AS late_s, coalesce(sum(r.n), 0)::int AS readings, coalesce(sum(r.n - r.good_n), 0)::int AS bad
FROM known k JOIN devices d ON d.id = k.device_id JOIN gateways g ON g.id = d.gateway_id
JOIN unnest(%(days)s::date[], %(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS z (day, starts_at, ends_at)
    ON z.day >= k.first_day
CROSS JOIN LATERAL (SELECT greatest(date_part('epoch', z.ends_at - greatest(z.starts_at, k.first_at)), 0) AS seconds) e
LEFT JOIN (SELECT point_id, day, covered_s, late_s, n, good_n FROM daily_readings
           WHERE site_id = %(site)s AND day = ANY(%(days)s::date[])) r ON r.point_id = k.id AND r.day = z.day
GROUP BY k.id, k.code, k.measure, d.code, g.code, k.first_at
ORDER BY g.code, d.code, k.code;

-- name: complete_hours
SELECT r.point_id, r.bucket, r.covered_s, r.late_s, r.n, r.n - r.good_n AS bad
FROM points p JOIN hourly_readings r ON r.point_id = p.id
WHERE p.device_id = %(device)s AND r.bucket >= %(start)s AND r.bucket < %(end)s
ORDER BY r.point_id, r.bucket;

-- Where between two good readings more time lies than a reading speaks for.  Hours that are covered are passed over; in and
-- around the others readings are looked at one by one.  A reading is expected as often as in the usual hour of the period.
-- name: gaps
WITH spans AS (
    SELECT point_id, greatest(since, %(start)s::timestamptz) AS starts_at
    FROM unnest(%(points)s::bigint[], %(sinces)s::timestamptz[]) AS s (point_id, since)
), rhythm AS (
    SELECT s.point_id, s.starts_at,
           coalesce(3600.0 / percentile_disc(0.5) WITHIN GROUP (ORDER BY r.n), 3600)::double precision AS usual_s
    FROM spans s LEFT JOIN hourly_readings r ON r.point_id = s.point_id AND r.n > 0
         AND r.bucket >= s.starts_at - interval '1 hour' AND r.bucket < %(end)s
    GROUP BY s.point_id, s.starts_at
), lacking AS (
    SELECT s.point_id, h.bucket
    FROM spans s
    CROSS JOIN LATERAL generate_series(date_bin('1 hour', s.starts_at, '2000-01-01 00:00+00'),
                                       %(end)s::timestamptz - interval '1 microsecond', interval '1 hour') AS h (bucket)
    LEFT JOIN hourly_readings r ON r.point_id = s.point_id AND r.bucket = h.bucket
    WHERE coalesce(r.covered_s, 0) < date_part('epoch', least(h.bucket + interval '1 hour', %(end)s::timestamptz)
                                                        - greatest(h.bucket, s.starts_at)) - 1
), runs AS (
    SELECT point_id, min(bucket) AS starts_at, max(bucket) + interval '1 hour' AS ends_at
    FROM (SELECT *, bucket - row_number() OVER (PARTITION BY point_id ORDER BY bucket) * interval '1 hour' AS run FROM lacking) l
    GROUP BY point_id, run
), marks AS (
    SELECT n.point_id, n.starts_at AS run, m.at, m.begins
    FROM runs n JOIN rhythm y ON y.point_id = n.point_id
    CROSS JOIN LATERAL (
        SELECT r.at, true AS begins FROM readings r WHERE r.point_id = n.point_id AND r.at >= n.starts_at AND r.at < n.ends_at
               AND r.quality = ANY(%(good)s) AND r.value IS NOT NULL
        UNION ALL
        SELECT coalesce((SELECT r.at FROM readings r WHERE r.point_id = n.point_id AND r.at >= n.starts_at - interval '1 day'
                                AND r.at < n.starts_at AND r.quality = ANY(%(good)s) AND r.value IS NOT NULL
                         ORDER BY r.at DESC LIMIT 1), greatest(n.starts_at, y.starts_at)), true
        UNION ALL
        (SELECT r.at, false FROM readings r WHERE r.point_id = n.point_id AND r.at >= n.ends_at AND r.at < %(end)s
                AND r.quality = ANY(%(good)s) AND r.value IS NOT NULL
         ORDER BY r.at LIMIT 1)) m
), steps AS (
    SELECT point_id, begins, at AS start_at, lead(at) OVER (PARTITION BY point_id, run ORDER BY at) AS end_at FROM marks
)
SELECT s.point_id, s.start_at, coalesce(s.end_at, %(end)s) AS end_at, s.end_at IS NULL AS open, y.usual_s AS expected_s,
       date_part('epoch', coalesce(s.end_at, %(end)s) - s.start_at) AS missing_s, NULL::timestamptz AS recovered_at,
       (SELECT count(*) FROM (SELECT FROM readings r WHERE r.point_id = s.point_id AND r.at > s.start_at
                                     AND r.at < coalesce(s.end_at, %(end)s) LIMIT 1000) b)::int AS bad
FROM steps s JOIN rhythm y ON y.point_id = s.point_id
WHERE s.begins AND coalesce(s.end_at, %(end)s) - s.start_at > make_interval(secs => 1.5 * least(greatest(y.usual_s, 60), 2400))
ORDER BY s.start_at, s.point_id
LIMIT %(most)s;

-- What was missing and came long after its hour; to the hour, for the readings themselves do not say when they came.
-- name: recovered
SELECT point_id, min(bucket) AS start_at, max(bucket) + interval '1 hour' AS end_at, false AS open,
       coalesce(3600.0 / percentile_disc(0.5) WITHIN GROUP (ORDER BY n), 3600)::double precision AS expected_s,
       sum(late_s) AS missing_s, max(late_at) AS recovered_at, 0 AS bad
FROM (SELECT *, bucket - row_number() OVER (PARTITION BY point_id ORDER BY bucket) * interval '1 hour' AS run
      FROM hourly_readings
      WHERE point_id = ANY(%(points)s::bigint[]) AND bucket >= %(start)s AND bucket < %(end)s AND late_s > 1) l
GROUP BY point_id, run
ORDER BY start_at, point_id
LIMIT %(most)s;
