-- name: target
SELECT p.id, p.code, p.measure, p.kind, p.unit, p.resolution, p.modulus, d.id AS device_id, d.code AS device,
       d.name_zh AS device_name_zh, d.name_en AS device_name_en, trim_scale(d.multiplier) AS multiplier, d.site_id,
       d.building_id, s.timezone, plantroom.billed(p.id) AS billed
FROM points p JOIN devices d ON d.id = p.device_id JOIN sites s ON s.id = d.site_id
WHERE (%(code)s::text IS NULL OR p.code = %(code)s) AND (%(id)s::bigint IS NULL OR p.id = %(id)s)
LIMIT 1;

-- name: hold_point
-- Corrections of one point are asked for, and come into force, one after the other.
SELECT pg_advisory_xact_lock(hashtextextended('corrections of ' || %(point)s::bigint, 0));

-- name: standing_between
SELECT r.at, o.value AS original_value, o.quality AS original_quality, r.value AS before_value,
       r.quality AS before_quality, NULL::double precision AS value, %(bad)s::smallint AS quality
FROM readings r
LEFT JOIN (
    SELECT at, value, quality FROM original_readings WHERE point_id = %(point)s AND at >= %(first)s AND at <= %(last)s
) o ON o.at = r.at
WHERE r.point_id = %(point)s AND r.at >= %(first)s AND r.at <= %(last)s AND r.value IS NOT NULL
ORDER BY r.at LIMIT %(most)s;

-- name: standing_at
SELECT %(at)s::timestamptz AS at, o.value AS original_value, o.quality AS original_quality, r.value AS before_value,
       r.quality AS before_quality, NULL::double precision AS value, NULL::smallint AS quality
FROM (SELECT) one
LEFT JOIN (SELECT value, quality FROM readings WHERE point_id = %(point)s AND at = %(at)s) r ON true
LEFT JOIN (SELECT value, quality FROM original_readings WHERE point_id = %(point)s AND at = %(at)s) o ON true;

-- name: lines_without
-- How the moments of a correction stand, and how they would stand without it.
SELECT l.at, o.value AS original_value, o.quality AS original_quality, r.value AS before_value,
       r.quality AS before_quality, CASE WHEN x.quality IS NULL THEN o.value ELSE x.value END AS value,
       coalesce(x.quality, o.quality) AS quality
FROM correction_lines l
LEFT JOIN (
    SELECT at, value, quality FROM readings WHERE point_id = %(point)s AND at >= %(first)s AND at <= %(last)s
) r ON r.at = l.at
LEFT JOIN (
    SELECT at, value, quality FROM original_readings WHERE point_id = %(point)s AND at >= %(first)s AND at <= %(last)s
) o ON o.at = l.at
LEFT JOIN LATERAL (
    SELECT m.value, m.quality FROM correction_lines m JOIN corrections c ON c.id = m.correction_id
    WHERE m.at = l.at AND c.point_id = %(point)s AND c.state = 'in_force' AND c.kind <> 'withdraw' AND c.id <> %(id)s
    ORDER BY c.in_force_at DESC, c.number DESC LIMIT 1) x ON true
WHERE l.correction_id = %(id)s
ORDER BY l.at;

-- name: open_for
-- Another correction that waits and speaks of one of these moments, or withdraws the same one.
SELECT min(c.number) FROM corrections c
JOIN approval_requests r ON r.organisation_id = c.organisation_id AND r.number = c.approval
WHERE c.point_id = %(point)s AND c.state = 'proposed' AND r.state IN ('open', 'approved')
  AND (EXISTS (SELECT FROM correction_lines l WHERE l.correction_id = c.id AND l.at = ANY(%(ats)s::timestamptz[]))
       OR c.withdraws_id = %(withdraws)s::uuid
       OR (%(exchange)s AND c.kind = 'exchange'));

-- name: take_number
INSERT INTO counters (organisation_id, series, last) VALUES (plantroom.organisation(), 'correction', 1)
ON CONFLICT (organisation_id, series) DO UPDATE SET last = counters.last + 1
RETURNING last;

-- name: add
-- Without naming the constraint: the id may be used where the sender does not see it.
INSERT INTO corrections (id, organisation_id, number, point_id, point, kind, withdraws_id, first_at, last_at, lines,
                         digest, reason, billing, bills, effect, asked_by, asked_at, state)
VALUES (%(id)s, plantroom.organisation(), %(number)s, %(point)s, %(code)s, %(kind)s, %(withdraws)s, %(first)s, %(last)s,
        %(lines)s, %(digest)s, %(reason)s, %(billing)s, %(bills)s, %(effect)s, %(by)s, %(now)s, 'proposed')
ON CONFLICT DO NOTHING;

-- name: add_lines
INSERT INTO correction_lines (organisation_id, correction_id, at, original_value, original_quality, before_value,
                              before_quality, value, quality)
SELECT plantroom.organisation(), %(id)s, * FROM unnest(
    %(ats)s::timestamptz[], %(original_values)s::float8[], %(original_qualities)s::smallint[], %(before_values)s::float8[],
    %(before_qualities)s::smallint[], %(values)s::float8[], %(qualities)s::smallint[]);

-- name: add_exchange
INSERT INTO meter_exchanges (organisation_id, correction_id, point_id, at, final, resolution_before, modulus_before,
                             multiplier_before, serial_before, initial, resolution, modulus, multiplier, serial)
VALUES (plantroom.organisation(), %(id)s, %(point)s, %(at)s, %(final)s, %(resolution_before)s, %(modulus_before)s,
        %(multiplier_before)s, %(serial_before)s, %(initial)s, %(resolution)s, %(modulus)s, %(multiplier)s, %(serial)s);

-- name: add_photo
INSERT INTO correction_photos (organisation_id, correction_id, sha256, media_type, picture)
VALUES (plantroom.organisation(), %(id)s, %(sha256)s, %(media_type)s, %(picture)s);

-- name: note_approval
UPDATE corrections SET approval = %(approval)s WHERE id = %(id)s;

-- name: corrections
SELECT c.id, c.number, c.point_id, c.point, p.code AS code_now, p.unit, p.resolution, d.code AS device,
       d.name_zh AS device_name_zh, d.name_en AS device_name_en, d.site_id, d.building_id, c.kind,
       w.number AS withdraws,
       (SELECT max(b.number) FROM corrections b WHERE b.withdraws_id = c.id AND b.state = 'in_force') AS withdrawn_by,
       c.first_at, c.last_at, c.lines, c.digest, c.reason, c.billing, c.bills, c.effect, c.asked_by, c.asked_at,
       c.approval, r.state AS approval_state, c.seconded_by, c.state, c.in_force_by, c.in_force_at, c.ended_at,
       encode(f.sha256, 'hex') AS photo_sha256
FROM corrections c
JOIN points p ON p.id = c.point_id
JOIN devices d ON d.id = p.device_id
LEFT JOIN corrections w ON w.id = c.withdraws_id
LEFT JOIN approval_requests r ON r.organisation_id = c.organisation_id AND r.number = c.approval
LEFT JOIN correction_photos f ON f.correction_id = c.id
WHERE (%(id)s::uuid IS NULL OR c.id = %(id)s) AND (%(number)s::bigint IS NULL OR c.number = %(number)s)
  AND (%(point)s::text IS NULL OR c.point = %(point)s OR p.code = %(point)s)
  AND (%(kind)s::text IS NULL OR c.kind = %(kind)s) AND (%(by)s::text IS NULL OR c.asked_by = %(by)s)
  AND (%(stage)s::text IS NULL
       OR %(stage)s = 'waiting' AND c.state = 'proposed' AND r.state = 'open'
       OR %(stage)s = 'ready' AND c.state = 'proposed' AND r.state = 'approved'
       OR %(stage)s = 'refused' AND c.state = 'proposed' AND r.state IN ('rejected', 'expired')
       OR %(stage)s IN ('in_force', 'withdrawn') AND c.state = %(stage)s)
  AND (%(since)s::timestamptz IS NULL OR c.asked_at >= %(since)s)
  AND (%(before)s::timestamptz IS NULL OR c.asked_at < %(before)s)
ORDER BY c.number DESC LIMIT %(most)s;

-- name: lines
SELECT at, original_value, original_quality, before_value, before_quality, value, quality
FROM correction_lines WHERE correction_id = %(id)s ORDER BY at LIMIT %(most)s;

-- name: exchange
SELECT at, final, resolution_before, modulus_before, multiplier_before, serial_before, initial, resolution, modulus,
       multiplier, serial
FROM meter_exchanges WHERE correction_id = %(id)s;

-- name: photo
SELECT media_type, picture FROM correction_photos WHERE correction_id = %(id)s;

-- name: hold
SELECT id FROM corrections WHERE number = %(number)s AND state = 'proposed' FOR NO KEY UPDATE;

-- name: moved_meanwhile
-- Moments that no longer stand as they did when the correction was asked for.
SELECT count(*)::int FROM correction_lines l
LEFT JOIN (
    SELECT at, value, quality FROM readings WHERE point_id = %(point)s AND at >= %(first)s AND at <= %(last)s
) r ON r.at = l.at
WHERE l.correction_id = %(id)s
  AND (l.before_quality, l.before_value) IS DISTINCT FROM (r.quality, r.value);

-- name: seconded_by
SELECT d.login FROM approval_decisions d JOIN approval_requests r ON r.id = d.request_id
WHERE r.number = %(approval)s AND r.organisation_id = plantroom.organisation() AND d.round = r.round
  AND d.verdict = 'approve' AND d.login <> split_part(%(by)s, '/', 1)
ORDER BY d.at DESC LIMIT 1;

-- name: enforce
UPDATE corrections SET state = 'in_force', seconded_by = %(second)s, in_force_by = %(by)s, in_force_at = %(now)s
WHERE id = %(id)s;

-- name: end_withdrawn
UPDATE corrections SET state = 'withdrawn', ended_at = %(now)s
WHERE id = (SELECT withdraws_id FROM corrections WHERE id = %(id)s) AND state = 'in_force';

-- name: drop
UPDATE corrections SET state = 'dropped', ended_at = %(now)s WHERE id = %(id)s AND state = 'proposed';

-- name: lift_amendments
DELETE FROM amendments
WHERE point_id = %(point)s AND at IN (SELECT at FROM correction_lines WHERE correction_id = %(id)s);

-- name: lay_amendments
-- Of several corrections of a moment the last one holds.
INSERT INTO amendments (organisation_id, point_id, at, value, quality, correction_id)
SELECT DISTINCT ON (l.at) plantroom.organisation(), %(point)s::bigint, l.at, l.value, l.quality, c.id
FROM correction_lines l JOIN corrections c ON c.id = l.correction_id
WHERE c.point_id = %(point)s AND c.state = 'in_force' AND c.kind <> 'withdraw' AND l.quality IS NOT NULL
  AND l.at IN (SELECT at FROM correction_lines WHERE correction_id = %(id)s)
ORDER BY l.at, c.in_force_at DESC, c.number DESC;

-- name: mark_point
UPDATE points SET amended = EXISTS (SELECT FROM amendments a WHERE a.point_id = points.id)
WHERE id = %(point)s AND amended <> EXISTS (SELECT FROM amendments a WHERE a.point_id = points.id);

-- name: mark_hours
INSERT INTO dirty_buckets (point_id, bucket) SELECT %(point)s, unnest(%(hours)s::timestamptz[]);

-- name: blank_latest
UPDATE latest SET value = NULL, quality = %(bad)s WHERE point_id = %(point)s AND at = ANY(%(ats)s::timestamptz[]);

-- name: settle_latest
-- The latest that stands.  Only a latest reading that this correction speaks of may move back: a newer one may have come in.
INSERT INTO latest (point_id, at, value, quality)
SELECT s.point_id, s.at, s.value, s.quality FROM effective_samples s
WHERE s.point_id = %(point)s AND s.at >= %(since)s AND s.at <= %(until)s
  AND NOT EXISTS (SELECT FROM amendments a WHERE a.point_id = s.point_id AND a.at = s.at AND a.quality = %(bad)s)
ORDER BY s.at DESC LIMIT 1
ON CONFLICT (point_id) DO UPDATE SET at = excluded.at, value = excluded.value, quality = excluded.quality
WHERE excluded.at > latest.at OR latest.at = ANY(%(ats)s::timestamptz[]);

-- name: announce
SELECT pg_notify('plantroom_live', json_build_object('kind', 'latest', 'id', %(organisation)s::text,
                                                     'organisation', %(organisation)s::text)::text);

-- name: exchange_at
SELECT count(*)::int FROM meter_exchanges x JOIN corrections c ON c.id = x.correction_id
WHERE x.point_id = %(point)s AND x.at = %(at)s AND c.state = 'in_force';

-- name: last_exchange
SELECT x.at, x.final, x.resolution_before, x.modulus_before, x.multiplier_before, x.serial_before, x.initial,
       x.resolution, x.modulus, x.multiplier, x.serial
FROM meter_exchanges x JOIN corrections c ON c.id = x.correction_id
WHERE x.point_id = %(point)s AND c.state = 'in_force' ORDER BY x.at DESC LIMIT 1;

-- name: exchange_withdrawn
SELECT x.at, x.final, x.resolution_before, x.modulus_before, x.multiplier_before, x.serial_before, x.initial,
       x.resolution, x.modulus, x.multiplier, x.serial
FROM meter_exchanges x JOIN corrections w ON w.withdraws_id = x.correction_id WHERE w.id = %(id)s;

-- name: put_multiplier
UPDATE devices SET multiplier = %(multiplier)s
WHERE id = (SELECT device_id FROM points WHERE id = %(point)s) AND multiplier <> %(multiplier)s;

-- name: bills
SELECT i.number, c.period_start, c.period_end, trim_scale(c.quantity) AS quantity, c.unit, c.estimated
FROM charges c JOIN invoices i ON i.id = c.invoice_id
WHERE c.device_id = %(device)s AND c.evidence ->> 'point' = %(point)s
  AND least(c.evidence #>> '{start,at}', c.evidence #>> '{start,basis,0,at}')::timestamptz <= %(last)s
  AND greatest(c.evidence #>> '{end,at}', c.evidence #>> '{end,basis,-1,at}')::timestamptz >= %(first)s
ORDER BY c.period_start, i.number LIMIT %(most)s;

-- name: readings_around
SELECT r.at, r.value, r.quality, c.number AS correction, c.kind, l.original_value, l.original_quality
FROM readings r
LEFT JOIN amendments a ON a.point_id = r.point_id AND a.at = r.at
LEFT JOIN corrections c ON c.id = a.correction_id
LEFT JOIN correction_lines l ON l.correction_id = a.correction_id AND l.at = a.at
WHERE r.point_id = %(point)s AND r.at >= %(first)s AND r.at <= %(last)s
ORDER BY r.at DESC LIMIT %(most)s;

-- name: due
-- Counters whose latest reading is old or missing, with two usable hours before to tell their pace from.
SELECT p.id AS point_id, p.code AS point, p.unit, p.resolution, p.modulus, d.code AS device, d.name_zh AS device_name_zh,
       d.name_en AS device_name_en, s.code AS space, h.last_at, h.last AS last_value, e.first_at AS earlier_at,
       e.first AS earlier_value,
       (SELECT max(c.number) FROM corrections c
        JOIN approval_requests r ON r.organisation_id = c.organisation_id AND r.number = c.approval
        WHERE c.point_id = p.id AND c.kind = 'add' AND c.state = 'proposed' AND r.state IN ('open', 'approved')) AS waiting
FROM points p
JOIN devices d ON d.id = p.device_id
JOIN spaces s ON s.id = d.space_id
LEFT JOIN latest_readings l ON l.point_id = p.id
LEFT JOIN LATERAL (
    SELECT last, last_at FROM hourly_readings
    WHERE point_id = p.id AND good_n > 0 AND bucket >= %(since)s ORDER BY bucket DESC LIMIT 1) h ON true
LEFT JOIN LATERAL (
    SELECT first, first_at FROM hourly_readings
    WHERE point_id = p.id AND good_n > 0 AND bucket >= %(since)s AND bucket >= h.last_at - interval '31 days'
    ORDER BY bucket LIMIT 1) e ON h.last_at IS NOT NULL
WHERE p.kind = 'counter' AND (%(point)s::bigint IS NULL OR p.id = %(point)s)
  AND (%(point)s::bigint IS NOT NULL OR %(text)s::text IS NOT NULL OR l.at IS NULL OR l.at < %(stale)s
       OR l.quality <> ALL(%(usable)s))
  AND (%(text)s::text IS NULL OR concat_ws(' ', p.code, d.name_zh, d.name_en, s.code) ILIKE %(text)s)
ORDER BY s.code, p.code LIMIT %(most)s;
