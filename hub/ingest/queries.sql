-- name: lock_lines
SELECT g.id, g.organisation_id, g.site_id, s.code AS site, g.code AS gateway, g.spool, g.committed, g.online,
       g.born_at, g.seen_at, g.depth, g.clock_step_ms, g.rival_spool, g.rival_seen_at, g.spool_percent, g.dropped,
       g.dropped_at, g.skew_ms
FROM gateways g JOIN sites s ON s.id = g.site_id
WHERE (s.code, g.code) IN (SELECT * FROM unnest(%(sites)s::text[], %(gateways)s::text[]))
ORDER BY g.id
FOR NO KEY UPDATE OF g;

-- name: put_line
UPDATE gateways SET spool = %(spool)s, committed = %(committed)s, online = %(online)s, born_at = %(born_at)s,
    seen_at = %(seen_at)s, depth = %(depth)s, clock_step_ms = %(clock_step_ms)s, rival_spool = %(rival_spool)s,
    rival_seen_at = %(rival_seen_at)s, spool_percent = %(spool_percent)s, dropped = %(dropped)s,
    dropped_at = %(dropped_at)s, skew_ms = %(skew_ms)s
WHERE id = %(id)s;

-- name: owners
SELECT code, organisation_id FROM sites WHERE code = ANY(%(codes)s::text[]);

-- name: devices
SELECT id, organisation_id, site_id, gateway_id, code FROM devices
WHERE (gateway_id, code) IN (SELECT * FROM unnest(%(gateways)s::uuid[], %(codes)s::text[]));

-- name: silence_devices
UPDATE devices SET online = false, online_changed_at = %(now)s WHERE gateway_id = %(gateway)s AND online;

-- name: set_device_online
UPDATE devices SET online = %(online)s, online_changed_at = %(now)s
WHERE gateway_id = %(gateway)s AND code = %(code)s AND online <> %(online)s;

-- A point that the edge no longer describes (it only still has readings of it) keeps what it was.
-- A code that another device's point has (device 'A.B' with 'c', device 'A' with 'B.c') stays with its first owner.
-- name: put_point
INSERT INTO points (organisation_id, site_id, device_id, code, measure, kind, unit, resolution, modulus)
VALUES (%(organisation)s, %(site)s, %(device)s, %(code)s, %(measure)s, %(kind)s, %(unit)s, %(resolution)s, %(modulus)s)
ON CONFLICT (organisation_id, code) DO UPDATE SET kind = excluded.kind, unit = excluded.unit,
    resolution = excluded.resolution, modulus = excluded.modulus
WHERE %(declared)s AND points.device_id = excluded.device_id AND (points.kind, points.unit, points.resolution, points.modulus)
    IS DISTINCT FROM (excluded.kind, excluded.unit, excluded.resolution, excluded.modulus);

-- name: points
SELECT id, device_id, measure FROM points WHERE device_id = ANY(%(devices)s::uuid[]);

-- name: ensure_week
SELECT plantroom.ensure_week(%(week)s::date);

-- name: copy_samples
COPY samples (point_id, at, value, quality) FROM STDIN (FORMAT binary);

-- name: make_staging
CREATE TEMPORARY TABLE IF NOT EXISTS staging (point_id bigint, at timestamptz, value double precision, quality smallint)
ON COMMIT DELETE ROWS;

-- name: copy_staging
COPY staging (point_id, at, value, quality) FROM STDIN (FORMAT binary);

-- name: store_staged
INSERT INTO samples (point_id, at, value, quality)
SELECT point_id, at, value, quality FROM staging
ON CONFLICT DO NOTHING;

-- Materialised: what stood there is read before anything moves, also where the series are spread over several nodes.
-- name: move_latest
WITH before AS MATERIALIZED (
    SELECT point_id, at FROM latest WHERE point_id = ANY(%(points)s::bigint[])
), moved AS (
    INSERT INTO latest (point_id, at, value, quality)
    SELECT * FROM unnest(%(points)s::bigint[], %(ats)s::timestamptz[], %(values)s::float8[], %(qualities)s::smallint[])
    ON CONFLICT (point_id) DO UPDATE SET at = excluded.at, value = excluded.value, quality = excluded.quality
    WHERE excluded.at > latest.at
    RETURNING point_id
)
SELECT m.point_id, b.at AS before FROM moved m LEFT JOIN before b ON b.point_id = m.point_id;

-- name: mark_dirty
INSERT INTO dirty_buckets (point_id, bucket)
SELECT point_id, to_timestamp(hour_s) FROM unnest(%(points)s::bigint[], %(hours)s::float8[]) AS t (point_id, hour_s);

-- name: quarantine
INSERT INTO quarantine (organisation_id, received_at, topic, reason, payload)
VALUES (%(organisation)s, %(now)s, %(topic)s, %(reason)s, %(payload)s);

-- name: announce
SELECT pg_notify('plantroom_live', json_build_object('kind', %(kind)s::text, 'id', %(id)s::text,
                                                     'organisation', %(organisation)s::text)::text);

-- What a gateway has refused or rolled back has its number, and is not sent again.
-- name: wanted_configurations
SELECT s.code AS site, g.code AS gateway, w.number, w.body
FROM unnest(%(sites)s::text[], %(gateways)s::text[], %(numbers)s::bigint[], %(hashes)s::text[])
     AS told (site, gateway, number, sha256)
JOIN sites s ON s.code = told.site
JOIN gateways g ON g.site_id = s.id AND g.code = told.gateway
JOIN LATERAL (
    SELECT number, sha256, body FROM gateway_configurations WHERE gateway_id = g.id ORDER BY number DESC LIMIT 1) w ON true
WHERE w.number > told.number AND w.sha256 <> told.sha256
ORDER BY w.number LIMIT %(most)s;
