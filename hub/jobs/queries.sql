-- name: organisations
SELECT id FROM organisations ORDER BY id;

-- name: hold_rollups
SELECT pg_advisory_xact_lock(hashtext('plantroom.rollups'));

-- One statement, one snapshot: a mark that it sees was committed together with the samples that it speaks of.
-- Grouped by point inside the lateral, so that each node can do its part where the series are spread over several.
-- name: rebuild_hours
WITH taken AS (
    DELETE FROM dirty_buckets
    WHERE id IN (SELECT id FROM dirty_buckets WHERE bucket < %(before)s ORDER BY id LIMIT %(most)s)
    RETURNING point_id, bucket
), hours AS (
    SELECT DISTINCT point_id, bucket FROM taken
)
INSERT INTO hourly (point_id, bucket, n, good_n, sum, min, max, first, first_at, last, last_at)
SELECT h.point_id, h.bucket, coalesce(s.n, 0), coalesce(s.good_n, 0), s.sum, s.min, s.max, s.first, s.first_at, s.last, s.last_at
FROM hours h LEFT JOIN LATERAL (
    SELECT count(*)::int AS n, count(value) FILTER (WHERE quality = ANY(%(good)s))::int AS good_n,
           sum(value) FILTER (WHERE quality = ANY(%(good)s)) AS sum, min(value) FILTER (WHERE quality = ANY(%(good)s)) AS min,
           max(value) FILTER (WHERE quality = ANY(%(good)s)) AS max,
           (array_agg(value ORDER BY at) FILTER (WHERE quality = ANY(%(good)s) AND value IS NOT NULL))[1] AS first,
           min(at) FILTER (WHERE quality = ANY(%(good)s) AND value IS NOT NULL) AS first_at,
           (array_agg(value ORDER BY at DESC) FILTER (WHERE quality = ANY(%(good)s) AND value IS NOT NULL))[1] AS last,
           max(at) FILTER (WHERE quality = ANY(%(good)s) AND value IS NOT NULL) AS last_at
    FROM effective_samples
    WHERE point_id = h.point_id AND at >= h.bucket AND at < h.bucket + interval '1 hour'
    GROUP BY point_id
) s ON true
ON CONFLICT (point_id, bucket) DO UPDATE SET n = excluded.n, good_n = excluded.good_n, sum = excluded.sum,
    min = excluded.min, max = excluded.max, first = excluded.first, first_at = excluded.first_at, last = excluded.last,
    last_at = excluded.last_at
RETURNING point_id, bucket;

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
