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
WHERE point_id = %(point)s AND at >= %(start)s AND at < %(end)s AND quality = %(good)s AND value IS NOT NULL
ORDER BY at DESC
LIMIT 1;

-- name: first_good_from
SELECT at, value, quality FROM readings
WHERE point_id = %(point)s AND at >= %(start)s AND at <= %(end)s AND quality = %(good)s AND value IS NOT NULL
ORDER BY at
LIMIT 1;

-- name: chart_of_readings
SELECT date_bin(%(step)s, at, %(start)s) AS at, count(*)::int AS n, min(value) AS min, max(value) AS max,
       (array_agg(value ORDER BY at DESC))[1] AS last
FROM readings
WHERE point_id = %(point)s AND at >= %(start)s AND at < %(end)s AND quality = %(good)s AND value IS NOT NULL
GROUP BY 1
ORDER BY 1;

-- name: chart_of_hours
SELECT date_bin(%(step)s, bucket, %(start)s) AS at, sum(good_n)::int AS n, min(min) AS min, max(max) AS max,
       (array_agg(last ORDER BY bucket DESC))[1] AS last
FROM hourly_readings
WHERE point_id = %(point)s AND bucket >= %(start)s AND bucket < %(end)s AND good_n > 0
GROUP BY 1
ORDER BY 1;

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
