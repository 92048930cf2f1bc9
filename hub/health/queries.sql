-- name: put_mark
INSERT INTO platform_marks (kind, name, tried_at, succeeded_at, took_s, failures, said, value)
VALUES (%(kind)s, %(name)s, %(tried_at)s, %(succeeded_at)s, %(took_s)s, %(failures)s, %(said)s, %(value)s)
ON CONFLICT (kind, name) DO UPDATE SET tried_at = excluded.tried_at,
    succeeded_at = coalesce(excluded.succeeded_at, platform_marks.succeeded_at),
    took_s = CASE WHEN excluded.succeeded_at IS NULL THEN platform_marks.took_s ELSE excluded.took_s END,
    failures = excluded.failures, said = excluded.said, value = excluded.value;

-- name: marks
SELECT kind, name, tried_at, succeeded_at, took_s, failures, said, value FROM platform_marks ORDER BY kind, name;

-- name: tenancies
SELECT id FROM organisations ORDER BY id;

-- name: measure
SELECT w.n::int AS rollups_dirty,
       CASE WHEN w.oldest IS NOT NULL THEN greatest(
           extract(epoch FROM %(now)s::timestamptz - (w.oldest + interval '1 hour')), 0)::double precision END AS rollups_late_s,
       (SELECT count(*)::int FROM quarantine WHERE received_at > %(now)s::timestamptz - interval '1 hour') AS quarantined_hour,
       (SELECT coalesce(max(id) - min(id) + 1, 0)::int FROM quarantine) AS quarantined,
       pg_database_size(current_database()) AS database_bytes,
       plantroom.replica_behind_s() AS replica_behind_s
FROM (SELECT count(*) AS n, min(bucket) AS oldest FROM (SELECT bucket FROM dirty_buckets LIMIT %(most)s) d) w;

-- name: gateways
SELECT s.code AS site, g.code AS gateway, g.online, g.seen_at, g.skew_ms, g.depth, g.spool_percent, g.dropped,
       (g.rival_spool <> '' AND g.rival_seen_at > now() - interval '10 minutes') AS rival,
       (SELECT max(not_after) FROM gateway_certificates c WHERE c.gateway_id = g.id AND c.revoked_at IS NULL) AS certificate_ends_at
FROM gateways g JOIN sites s ON s.id = g.site_id ORDER BY 1, 2 LIMIT %(most)s;
