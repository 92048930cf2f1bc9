-- name: lock_lines
SELECT g.id, g.organisation_id, g.site_id, s.code AS site, g.code AS gateway, g.spool, g.committed, g.online,
       g.born_at, g.seen_at, g.depth, g.clock_step_ms, g.rival_spool, g.rival_seen_at, g.spool_percent, g.dropped,
       g.dropped_at, g.skew_ms, g.version
FROM gateways g JOIN sites s ON s.id = g.site_id
WHERE (s.code, g.code) IN (SELECT * FROM unnest(%(sites)s::text[], %(gateways)s::text[]))
ORDER BY g.id
FOR NO KEY UPDATE OF g;

-- name: put_line
UPDATE gateways SET spool = %(spool)s, committed = %(committed)s, online = %(online)s, born_at = %(born_at)s,
    seen_at = %(seen_at)s, depth = %(depth)s, clock_step_ms = %(clock_step_ms)s, rival_spool = %(rival_spool)s,
    rival_seen_at = %(rival_seen_at)s, spool_percent = %(spool_percent)s, dropped = %(dropped)s,
    dropped_at = %(dropped_at)s, skew_ms = %(skew_ms)s, version = %(version)s
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
-- Nor does one that has readings take another unit by itself: somebody must say so (hub/assets/adoption.py).
-- A code that another device's point has (device 'A.B' with 'c', device 'A' with 'B.c') stays with its first owner.
-- name: put_point
INSERT INTO points (organisation_id, site_id, device_id, code, measure, kind, unit, resolution, modulus)
VALUES (%(organisation)s, %(site)s, %(device)s, %(code)s, %(measure)s, %(kind)s, %(unit)s, %(resolution)s, %(modulus)s)
ON CONFLICT (organisation_id, code) DO UPDATE SET kind = excluded.kind, unit = excluded.unit,
    resolution = excluded.resolution, modulus = excluded.modulus
WHERE %(declared)s AND points.device_id = excluded.device_id
    AND (points.unit = excluded.unit OR NOT EXISTS (SELECT FROM latest WHERE point_id = points.id)) AND (points.kind, points.unit, points.resolution, points.modulus)
    IS DISTINCT FROM (excluded.kind, excluded.unit, excluded.resolution, excluded.modulus);

-- name: points
SELECT id, device_id, measure, kind, unit, resolution, modulus FROM points WHERE device_id = ANY(%(devices)s::uuid[]);

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

-- nan stands for no value. Materialised: what stood there is read before anything moves, also where the series are spread over several nodes.
-- name: move_latest
WITH before AS MATERIALIZED (
    SELECT point_id, at FROM latest WHERE point_id = ANY(%(points)s::bigint[])
), moved AS (
    INSERT INTO latest (point_id, at, value, quality)
    SELECT point_id, at, nullif(value, 'NaN'), quality
    FROM unnest(%(points)s::bigint[], %(ats)s::timestamptz[], %(values)s::float8[], %(qualities)s::smallint[])
         AS t (point_id, at, value, quality)
    ON CONFLICT (point_id) DO UPDATE SET at = excluded.at, value = excluded.value, quality = excluded.quality
    WHERE excluded.at > latest.at
    RETURNING point_id
)
SELECT m.point_id, b.at AS before FROM moved m LEFT JOIN before b ON b.point_id = m.point_id;

-- name: push_latest
INSERT INTO latest (point_id, at, value, quality)
SELECT point_id, at, nullif(value, 'NaN'), quality
FROM unnest(%(points)s::bigint[], %(ats)s::timestamptz[], %(values)s::float8[], %(qualities)s::smallint[])
     AS t (point_id, at, value, quality)
ON CONFLICT (point_id) DO UPDATE SET at = excluded.at, value = excluded.value, quality = excluded.quality
WHERE excluded.at > latest.at;

-- The round of the rollups, which stays what it is until this transaction is over; NULL while one is under way.
-- name: hold_round
SELECT CASE WHEN pg_try_advisory_xact_lock_shared(hashtext('plantroom.rollups')) THEN plantroom.rollup_round() END;

-- name: mark_dirty
INSERT INTO dirty_buckets (point_id, bucket) SELECT * FROM unnest(%(points)s::bigint[], %(hours)s::timestamptz[]);

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

-- Names that a gateway invents without end do not fill the list.
-- name: put_stranger
INSERT INTO strangers (organisation_id, site_id, gateway, device, declares, first_seen_at, last_seen_at)
SELECT s.organisation_id, s.id, %(gateway)s, %(device)s, %(declares)s, %(now)s, %(now)s FROM sites s
WHERE s.code = %(site)s AND (
    (SELECT count(*) FROM strangers WHERE site_id = s.id) < %(most)s
    OR EXISTS (SELECT FROM strangers WHERE site_id = s.id AND gateway = %(gateway)s AND device = %(device)s))
ON CONFLICT (site_id, gateway, device) DO UPDATE SET last_seen_at = excluded.last_seen_at,
    declares = coalesce(nullif(excluded.declares, ''), strangers.declares);

-- name: hold_frame
INSERT INTO held_frames (organisation_id, gateway_id, device, measure, unit, received_at, readings, body)
VALUES (%(organisation)s, %(gateway)s, %(device)s, %(measure)s, %(unit)s, %(now)s, %(readings)s, %(body)s);

-- name: held_due
SELECT h.id, s.code AS site, g.code AS gateway, g.spool, h.device, h.received_at, h.body
FROM held_frames h
JOIN gateways g ON g.id = h.gateway_id
JOIN sites s ON s.id = g.site_id
JOIN devices d ON d.gateway_id = g.id AND d.code = h.device
WHERE h.measure IS NULL OR EXISTS (
    SELECT FROM points p WHERE p.device_id = d.id AND p.measure = h.measure AND p.unit = h.unit)
ORDER BY h.id LIMIT %(most)s;

-- name: drop_held
DELETE FROM held_frames WHERE id = ANY(%(ids)s::bigint[]);

-- name: trim_held
DELETE FROM held_frames WHERE received_at < %(oldest)s
   OR id <= (SELECT max(id) FROM held_frames) - %(most)s::bigint
   OR id IN (SELECT id FROM (
        SELECT id, row_number() OVER (PARTITION BY gateway_id, device ORDER BY id DESC) AS n FROM held_frames) ranked
             WHERE n > %(per_device)s);

-- name: forget_strangers
DELETE FROM strangers t WHERE EXISTS (
    SELECT FROM gateways g LEFT JOIN devices d ON d.gateway_id = g.id AND d.code = t.device
    WHERE g.site_id = t.site_id AND g.code = t.gateway AND (t.device = '' OR d.id IS NOT NULL));

-- History from files (hub/ingest/history.py).
-- name: covers_site
SELECT plantroom.covers(%(site)s, NULL);

-- name: import_targets
SELECT id, code, kind, unit, modulus FROM points WHERE site_id = %(site)s;

-- What is there already at the same moments; ``n`` counts the moments from 1.
-- name: stored_already
SELECT asked.n, s.value, s.quality
FROM unnest(%(points)s::bigint[], %(ats)s::bigint[]) WITH ORDINALITY AS asked (point_id, us, n)
JOIN samples s ON s.point_id = asked.point_id AND s.at = timestamptz '2000-01-01 00:00Z' + asked.us * interval '1 microsecond'
WHERE s.at >= %(first)s AND s.at <= %(last)s;

-- name: put_import
INSERT INTO imports (organisation_id, site_id, name, sha256, size_bytes, state, checked_at, checked_by, readings, good,
                     duplicates, conflicts, refused, first_at, last_at, report)
VALUES (plantroom.organisation(), %(site)s, %(name)s, %(sha256)s, %(size_bytes)s, 'checked', %(now)s, %(by)s, %(readings)s,
        %(good)s, %(duplicates)s, %(conflicts)s, %(refused)s, %(first_at)s, %(last_at)s, %(report)b)
RETURNING id;

-- name: keep_import_file
INSERT INTO import_files (organisation_id, import_id, body) VALUES (plantroom.organisation(), %(import)s, %(body)b);

-- name: import_file
SELECT body FROM import_files WHERE import_id = %(import)s;

-- Files that nobody has stored: the old ones, and all but the newest few.
-- name: drop_import_files
DELETE FROM import_files f USING imports i
WHERE i.id = f.import_id AND (i.checked_at < %(before)s OR i.id = %(import)s OR i.id NOT IN (
    SELECT id FROM imports WHERE state = 'checked' ORDER BY checked_at DESC LIMIT %(most)s));

-- name: hold_import
SELECT pg_advisory_xact_lock(hashtext('plantroom.imports'), hashtext(plantroom.organisation()::text));

-- name: store_import
UPDATE imports SET state = 'stored', stored_at = %(now)s, stored_by = %(by)s, readings = %(readings)s, good = %(good)s,
    duplicates = %(duplicates)s, conflicts = %(conflicts)s, refused = %(refused)s, first_at = %(first_at)s,
    last_at = %(last_at)s, report = %(report)b
WHERE id = %(import)s AND state = 'checked';

-- name: add_import_point
INSERT INTO import_points (organisation_id, import_id, point_id, n, first_at, last_at, moments)
VALUES (plantroom.organisation(), %(import)s, %(point)s, %(n)s, %(first_at)s, %(last_at)s, %(moments)b);

-- name: imports
SELECT i.id, i.site_id, s.code AS site, i.name, i.sha256, i.size_bytes, i.state, i.checked_at, i.checked_by, i.stored_at,
       i.stored_by, i.readings, i.good, i.duplicates, i.conflicts, i.refused, i.first_at, i.last_at
FROM imports i JOIN sites s ON s.id = i.site_id
WHERE %(import)s::uuid IS NULL OR i.id = %(import)s
ORDER BY i.checked_at DESC, i.id LIMIT %(most)s;

-- name: import_report
SELECT report FROM imports WHERE id = %(import)s;

-- name: import_moments
SELECT moments FROM import_points WHERE import_id = %(import)s AND point_id = %(point)s;

-- Workers hold a lock in common from their first breath; who does is alive.
-- name: join_workers
SELECT pg_backend_pid() FROM (SELECT pg_advisory_lock_shared(hashtext('plantroom.workers'), 0)) joined;

-- name: workers
SELECT DISTINCT pid FROM pg_locks
WHERE locktype = 'advisory' AND objsubid = 2 AND granted AND objid = 0
  AND classid = (hashtext('plantroom.workers')::bigint & 4294967295)::oid
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY pid;

-- name: all_sites
SELECT code FROM sites ORDER BY code;

-- name: claim
SELECT unit, pg_try_advisory_lock(hashtext('plantroom.shards'), unit) FROM unnest(%(units)s::int[]) AS unit;

-- name: release
SELECT unit, pg_advisory_unlock(hashtext('plantroom.shards'), unit) FROM unnest(%(units)s::int[]) AS unit;
