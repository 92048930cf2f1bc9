-- name: organisations
SELECT id FROM organisations ORDER BY id;

-- name: clock
SELECT clock_timestamp();

-- A hypertable whose library is not loaded seems to be empty.
-- name: unreachable
SELECT plantroom.on_hypertable() AND plantroom.timescaledb() IS NULL;

-- name: ensure_week
SELECT plantroom.ensure_week(%(week)s::date);

-- name: parts
SELECT part, starts_at, ends_at, bytes, compacted FROM plantroom.parts();

-- name: compact
SELECT plantroom.compact(%(part)s);

-- name: alike
SELECT site_id, kind, unit, array_agg(id ORDER BY id) AS ids FROM points GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- A lease binds the counters of its site for as long as its papers are kept: what was billed under it and what will be.
-- name: basis
SELECT site_id, min(since) AS since
FROM (SELECT site_id, start_on AS since FROM leases WHERE end_on >= %(papers_since)s
      UNION ALL
      SELECT site_id, period_start FROM invoices WHERE period_end >= %(papers_since)s) AS bound
GROUP BY site_id;

-- name: drop_part
SELECT organisation_id, n FROM plantroom.drop_part(%(part)s, %(gone)s::bigint[]);

-- name: present
SELECT asked.id FROM unnest(%(points)s::bigint[]) AS asked (id)
WHERE EXISTS (SELECT FROM samples s WHERE s.point_id = asked.id AND s.at >= %(since)s AND s.at < %(until)s)
LIMIT %(most)s;

-- name: remove_samples
SELECT plantroom.remove_samples(%(points)s::bigint[], %(since)s, %(until)s, %(most)s);

-- name: remove_rollups
SELECT plantroom.remove_rollups(%(series)s, %(points)s::bigint[], %(before)s, %(most)s);
