-- name: lock_numbers
-- Locks the row until the transaction ends: one run at a time, and numbers without gaps.
INSERT INTO counters (organisation_id, series, last) VALUES (plantroom.organisation(), %(series)s, 0)
ON CONFLICT (organisation_id, series) DO UPDATE SET last = counters.last
RETURNING last;

-- name: take_number
UPDATE counters SET last = last + 1 WHERE series = %(series)s RETURNING last;

-- name: counter_points
SELECT id, code, unit, resolution, modulus FROM points WHERE device_id = %(device)s AND kind = 'counter' ORDER BY code;

-- name: usable_readings
-- The first and the last usable reading of every quarter-hour: what stands at a boundary or next to it is among them.
SELECT at, value FROM (
    SELECT at, value, row_number() OVER quarter AS nth, lead(at) OVER quarter IS NULL AS final
    FROM readings
    WHERE point_id = %(point)s AND at >= %(since)s AND at <= %(until)s AND quality = ANY(%(good)s) AND value IS NOT NULL
    WINDOW quarter AS (PARTITION BY date_bin('15 minutes', at, '2000-01-01Z'::timestamptz) ORDER BY at)
) AS binned
WHERE nth = 1 OR final ORDER BY at;

-- name: invoices
SELECT i.id, i.site_id, i.tenant_id, i.lease_id, i.number, i.period_start, i.period_end, i.issued_on, i.due_on,
       i.currency, i.net, i.tax, i.total, l.code AS lease, t.name_zh AS tenant_zh, t.name_en AS tenant_en,
       EXISTS (SELECT 1 FROM charges c WHERE c.invoice_id = i.id AND c.estimated) AS estimated
FROM invoices i
JOIN leases l ON l.id = i.lease_id
JOIN tenants t ON t.id = i.tenant_id
WHERE (%(id)s::uuid IS NULL OR i.id = %(id)s)
  AND (%(site)s::uuid IS NULL OR i.site_id = %(site)s)
  AND (%(lease)s::uuid IS NULL OR i.lease_id = %(lease)s)
  AND (%(tenant)s::uuid IS NULL OR i.tenant_id = %(tenant)s)
  AND (%(since)s::date IS NULL OR (i.period_start >= %(since)s AND i.period_start < %(before)s::date))
ORDER BY i.issued_on DESC, i.number LIMIT %(most)s;

-- name: id_of_number
SELECT id FROM invoices WHERE organisation_id = plantroom.organisation() AND number = %(number)s;

-- name: charges_of
SELECT c.id, c.invoice_id, c.kind, c.device_id, d.code AS meter, c.period_start, c.period_end, c.line,
       c.description_zh, c.description_en, trim_scale(c.quantity) AS quantity, c.unit, c.estimated, c.amount,
       c.tax_code, c.tax_rate, c.tax, c.evidence
FROM charges c LEFT JOIN devices d ON d.id = c.device_id
WHERE c.invoice_id = ANY(%(invoices)s) ORDER BY c.invoice_id, c.line;

-- name: add_invoice
INSERT INTO invoices (organisation_id, site_id, tenant_id, lease_id, number, period_start, period_end, issued_on, due_on,
                      currency, net, tax, total, lines)
VALUES (plantroom.organisation(), %(site)s, %(tenant)s, %(lease)s, %(number)s, %(period_start)s, %(period_end)s,
        %(issued_on)s, %(due_on)s, %(currency)s, %(net)s, %(tax)s, %(total)s, %(lines)s)
RETURNING id;

-- name: add_charge
INSERT INTO charges (organisation_id, tenant_id, lease_id, invoice_id, kind, device_id, period_start, period_end, line,
                     description_zh, description_en, quantity, unit, estimated, amount, tax_code, tax_rate, tax, evidence)
VALUES (plantroom.organisation(), %(tenant)s, %(lease)s, %(invoice)s, %(kind)s, %(device_id)s, %(period_start)s,
        %(period_end)s, %(line)s, %(description_zh)s, %(description_en)s, %(quantity)s, %(unit)s, %(estimated)s,
        %(amount)s, %(tax_code)s, %(tax_rate)s, %(tax)s, %(evidence)s);

-- name: park
INSERT INTO parked_leases (organisation_id, lease_id, period_start, reason_zh, reason_en, parked_at)
VALUES (plantroom.organisation(), %(lease)s, %(period_start)s, %(reason_zh)s, %(reason_en)s, %(now)s)
ON CONFLICT (lease_id, period_start) DO UPDATE SET reason_zh = excluded.reason_zh, reason_en = excluded.reason_en,
    parked_at = excluded.parked_at;

-- name: unpark
-- Of a month: every lease of the site that is not among those parked now.
DELETE FROM parked_leases p USING leases l
WHERE l.id = p.lease_id AND l.site_id = %(site)s AND p.period_start = %(period_start)s
  AND NOT p.lease_id = ANY(%(parked)s::uuid[]);

-- name: rivals
-- Other leases with a claim on a unit of this one in the same days: by their term, or because they were billed for them.
SELECT string_agg(DISTINCT l.code, ', ' ORDER BY l.code)
FROM lease_units mine
JOIN lease_units theirs ON theirs.space_id = mine.space_id AND theirs.lease_id <> mine.lease_id
JOIN leases l ON l.id = theirs.lease_id
WHERE mine.lease_id = %(lease)s
  AND (l.start_on < %(past)s AND l.end_on >= %(first)s
       OR EXISTS (SELECT FROM invoices i
                  WHERE i.lease_id = l.id AND i.period_start < %(past)s AND i.period_end > %(first)s));

-- name: parked
SELECT p.lease_id, l.code AS lease, t.name_zh AS tenant_zh, t.name_en AS tenant_en, p.period_start, p.reason_zh,
       p.reason_en, p.parked_at
FROM parked_leases p JOIN leases l ON l.id = p.lease_id JOIN tenants t ON t.id = l.tenant_id
WHERE %(site)s::uuid IS NULL OR l.site_id = %(site)s
ORDER BY p.period_start DESC, l.code LIMIT %(most)s;

-- name: issuer
SELECT o.name_zh AS organisation_zh, o.name_en AS organisation_en, s.name_zh AS site_zh, s.name_en AS site_en, s.timezone
FROM organisations o, sites s WHERE s.id = %(site)s;
