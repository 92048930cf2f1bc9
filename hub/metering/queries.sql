-- name: meters
SELECT p.id AS point_id, p.code AS point, p.unit, p.resolution, p.modulus, d.id AS device_id, d.parent_id, d.code, d.name_zh,
       d.name_en, d.commodity, d.role, d.multiplier, d.hourly_max, s.id AS site_id, s.timezone
FROM points p JOIN devices d ON d.id = p.device_id JOIN sites s ON s.id = d.site_id
WHERE p.kind = 'counter' AND d.commodity IS NOT NULL
  AND (%(site)s::uuid IS NULL OR s.id = %(site)s)
  AND (%(points)s::bigint[] IS NULL OR p.id = ANY(%(points)s))
  AND (%(code)s::text IS NULL OR d.code = %(code)s)
ORDER BY d.code, p.code LIMIT %(most)s;

-- In the order in which programs compare text, whatever the database's language: pages end and begin by it.
-- name: meters_after
SELECT p.id AS point_id, p.code AS point, p.unit, p.resolution, p.modulus, d.id AS device_id, d.parent_id, d.code, d.name_zh,
       d.name_en, d.commodity, d.role, d.multiplier, d.hourly_max, s.id AS site_id, s.timezone
FROM points p JOIN devices d ON d.id = p.device_id JOIN sites s ON s.id = d.site_id
WHERE p.kind = 'counter' AND d.commodity IS NOT NULL AND p.code COLLATE "C" > %(after)s
  AND (%(site)s::uuid IS NULL OR s.id = %(site)s)
  AND (%(codes)s::text[] IS NULL OR p.code = ANY(%(codes)s))
ORDER BY p.code COLLATE "C" LIMIT %(most)s;

-- What each UTC hour's rollup knows of the faces: two readings an hour are enough to know its growth.
-- name: edges
SELECT point_id, first, first_at, last, last_at FROM hourly_readings
WHERE point_id = ANY(%(points)s::bigint[]) AND bucket >= %(start)s AND bucket < %(end)s AND good_n > 0
ORDER BY point_id, bucket LIMIT %(most)s;

-- name: figures
SELECT c.point_id, c.virtual_id, c.first, c.starts_at, c.ends_at, c.state, trim_scale(c.quantity) AS quantity, c.estimated,
       c.version, c.worked_at, c.evidence->'start'->>'value' AS start_value, c.evidence->'start'->>'method' AS start_method,
       c.evidence->'end'->>'value' AS end_value, c.evidence->'end'->>'method' AS end_method, c.evidence->'doubt'->>'en' AS doubt
FROM consumptions c
WHERE c.grain = %(grain)s AND c.first >= %(first)s AND c.first < %(past)s
  AND (c.point_id = ANY(%(points)s::bigint[]) OR c.virtual_id = ANY(%(virtuals)s::uuid[]))
LIMIT %(most)s;

-- name: virtual_meters
SELECT v.id, v.site_id, s.timezone, v.code, v.name_zh, v.name_en, v.commodity, v.unit, v.versions, v.withdrawn
FROM virtual_meters v JOIN sites s ON s.id = v.site_id
WHERE %(site)s::uuid IS NULL OR v.site_id = %(site)s
ORDER BY v.code LIMIT %(most)s;

-- name: put_virtual
INSERT INTO virtual_meters (organisation_id, site_id, code, name_zh, name_en, commodity, unit, versions)
VALUES (plantroom.organisation(), %(site)s, %(code)s, %(name_zh)s, %(name_en)s, %(commodity)s, %(unit)s, %(versions)s)
ON CONFLICT (organisation_id, code) DO UPDATE SET name_zh = excluded.name_zh, name_en = excluded.name_en,
    commodity = excluded.commodity, unit = excluded.unit, versions = excluded.versions, withdrawn = false;

-- name: withdraw_virtual
UPDATE virtual_meters SET withdrawn = true WHERE site_id = %(site)s AND NOT code = ANY(%(codes)s::text[]) AND NOT withdrawn;

-- name: set_hourly_max
UPDATE devices SET hourly_max = %(hourly_max)s
WHERE site_id = %(site)s AND code = %(code)s AND hourly_max IS DISTINCT FROM %(hourly_max)s::numeric;

-- name: usable_readings
-- The first and the last usable reading of every step: what stands at a boundary of one or next to it is among them.
SELECT at, value FROM (
    SELECT at, value, row_number() OVER bin AS nth, lead(at) OVER bin IS NULL AS final
    FROM readings
    WHERE point_id = %(point)s AND at >= %(since)s AND at <= %(until)s AND quality = ANY(%(good)s) AND value IS NOT NULL
    WINDOW bin AS (PARTITION BY date_bin(%(step)s, at, '2000-01-01Z'::timestamptz) ORDER BY at)
) AS binned
WHERE nth = 1 OR final ORDER BY at;

-- name: mark
INSERT INTO consumption_marks (organisation_id, point_id, bucket)
SELECT p.organisation_id, p.id, m.bucket
FROM unnest(%(points)s::bigint[], %(buckets)s::timestamptz[]) AS m (point_id, bucket) JOIN points p ON p.id = m.point_id
WHERE p.kind = 'counter'
ON CONFLICT DO NOTHING;

-- name: take_marks
DELETE FROM consumption_marks WHERE (point_id, bucket) IN (
    SELECT point_id, bucket FROM consumption_marks WHERE bucket <= %(until)s ORDER BY point_id, bucket LIMIT %(most)s)
RETURNING point_id, bucket;

-- name: touched
SELECT DISTINCT c.point_id, c.first
FROM unnest(%(points)s::bigint[], %(buckets)s::timestamptz[]) AS m (point_id, bucket)
JOIN consumptions c ON c.point_id = m.point_id AND c.grain = 'day'
    AND c.reach_from < m.bucket + interval '1 hour' AND c.reach_to >= m.bucket;

-- name: unfinished
-- Meters whose days were worked out up to some day before the last one that is over.
SELECT c.point_id, max(c.first) AS first
FROM consumptions c JOIN points p ON p.id = c.point_id JOIN devices d ON d.id = p.device_id JOIN sites s ON s.id = d.site_id
WHERE c.grain = 'day' AND p.kind = 'counter' AND d.commodity IS NOT NULL
GROUP BY c.point_id, s.timezone
HAVING max(c.first) < (%(now)s::timestamptz AT TIME ZONE s.timezone)::date - 1
ORDER BY c.point_id LIMIT %(most)s;

-- name: facts
SELECT c.id, c.point_id, c.virtual_id, coalesce(d.code, v.code) AS code, c.grain, c.first, c.starts_at, c.ends_at, c.state,
       trim_scale(c.quantity) AS quantity, c.unit, c.estimated, c.evidence, c.version, c.worked_at
FROM consumptions c
LEFT JOIN points p ON p.id = c.point_id LEFT JOIN devices d ON d.id = p.device_id
LEFT JOIN virtual_meters v ON v.id = c.virtual_id
WHERE c.grain = %(grain)s AND c.first >= %(first)s AND c.first < %(past)s
  AND (%(site)s::uuid IS NULL OR d.site_id = %(site)s OR v.site_id = %(site)s)
  AND (%(points)s::bigint[] IS NULL OR c.point_id = ANY(%(points)s))
  AND (%(virtuals)s::uuid[] IS NULL OR c.virtual_id = ANY(%(virtuals)s))
ORDER BY 4, c.point_id, c.first LIMIT %(most)s;

-- name: fact
SELECT c.id, c.point_id, c.virtual_id, coalesce(d.code, v.code) AS code, c.grain, c.first, c.starts_at, c.ends_at, c.state,
       trim_scale(c.quantity) AS quantity, c.unit, c.estimated, c.evidence, c.version, c.worked_at
FROM consumptions c
LEFT JOIN points p ON p.id = c.point_id LEFT JOIN devices d ON d.id = p.device_id
LEFT JOIN virtual_meters v ON v.id = c.virtual_id
WHERE c.id = %(id)s;

-- name: add_fact
INSERT INTO consumptions (organisation_id, point_id, virtual_id, grain, first, starts_at, ends_at, state, quantity, unit,
                          estimated, reach_from, reach_to, evidence, version, worked_at)
VALUES (plantroom.organisation(), %(point)s, %(virtual)s, %(grain)s, %(first)s, %(starts_at)s, %(ends_at)s, %(state)s,
        %(quantity)s, %(unit)s, %(estimated)s, %(reach_from)s, %(reach_to)s, %(evidence)s, 1, %(now)s);

-- name: change_fact
UPDATE consumptions SET starts_at = %(starts_at)s, ends_at = %(ends_at)s, state = %(state)s, quantity = %(quantity)s,
    unit = %(unit)s, estimated = %(estimated)s, reach_from = %(reach_from)s, reach_to = %(reach_to)s,
    evidence = %(evidence)s, version = version + 1, worked_at = %(now)s
WHERE id = %(id)s;

-- name: add_change
INSERT INTO consumption_changes (organisation_id, consumption_id, version, changed_at, cause, quantity_before, quantity_after,
                                 differences, after_final, invoices)
VALUES (plantroom.organisation(), %(id)s, %(version)s, %(now)s, %(cause)s, %(before)s, %(after)s, %(differences)s,
        %(after_final)s, %(invoices)s);

-- name: confirm_fact
-- The same consumption: how firm it is, what it stands on and why there is none may be said otherwise.
UPDATE consumptions SET state = %(state)s, evidence = %(evidence)s WHERE id = %(id)s;

-- name: settle
-- Final: known at both ends without an estimate, and late for long enough; or wholly on a bill.
UPDATE consumptions c SET state = 'final'
WHERE c.state = 'provisional' AND c.ends_at <= %(now)s
  AND (NOT c.estimated AND c.ends_at <= %(settled)s
       OR EXISTS (SELECT FROM points p JOIN charges x ON x.device_id = p.device_id
                  WHERE p.id = c.point_id AND x.period_start <= c.first
                    AND x.period_end >= CASE c.grain WHEN 'day' THEN c.first + 1 ELSE (c.first + interval '1 month')::date END));

-- name: bills
SELECT DISTINCT i.number, x.period_start, x.period_end
FROM charges x JOIN invoices i ON i.id = x.invoice_id
WHERE x.device_id = %(device)s AND x.period_start < %(past)s AND x.period_end > %(first)s
ORDER BY i.number LIMIT %(most)s;

-- name: changes
SELECT h.id, h.consumption_id, coalesce(d.code, v.code) AS code, c.grain, c.first, h.version, h.changed_at, h.cause,
       trim_scale(h.quantity_before) AS quantity_before, trim_scale(h.quantity_after) AS quantity_after, c.unit, h.differences, h.after_final, h.invoices
FROM consumption_changes h
JOIN consumptions c ON c.id = h.consumption_id
LEFT JOIN points p ON p.id = c.point_id LEFT JOIN devices d ON d.id = p.device_id
LEFT JOIN virtual_meters v ON v.id = c.virtual_id
WHERE (%(consumptions)s::uuid[] IS NULL OR h.consumption_id = ANY(%(consumptions)s))
  AND (%(site)s::uuid IS NULL OR d.site_id = %(site)s OR v.site_id = %(site)s)
  AND (NOT %(late)s::boolean OR h.after_final)
ORDER BY h.changed_at DESC, h.version DESC LIMIT %(most)s;
