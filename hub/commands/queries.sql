-- name: put_allowance
INSERT INTO allowances (organisation_id, device_id, measure, low, high, every_s, critical, gives_back)
SELECT plantroom.organisation(), id, %(measure)s, %(low)s, %(high)s, %(every_s)s, %(critical)s, %(gives_back)s
FROM devices WHERE site_id = %(site)s AND code = %(device)s
ON CONFLICT (device_id, measure) DO UPDATE SET low = excluded.low, high = excluded.high, every_s = excluded.every_s,
    critical = excluded.critical, gives_back = excluded.gives_back;

-- name: drop_allowances
DELETE FROM allowances a USING devices d
WHERE d.id = a.device_id AND d.site_id = %(site)s AND NOT d.code || '.' || a.measure = ANY(%(points)s);

-- name: allowances
SELECT d.code || '.' || a.measure AS point, d.site_id, d.building_id, a.device_id, a.measure, coalesce(p.unit, '') AS unit,
       a.low, a.high, a.every_s, a.critical, a.gives_back
FROM allowances a JOIN devices d ON d.id = a.device_id
LEFT JOIN points p ON p.device_id = a.device_id AND p.measure = a.measure
WHERE (%(site)s::uuid IS NULL OR d.site_id = %(site)s) AND (%(device)s::text IS NULL OR d.code = %(device)s)
  AND (%(measure)s::text IS NULL OR a.measure = %(measure)s)
ORDER BY 1;

-- name: hold_person
-- Counts of one person are looked at one after the other.
SELECT pg_advisory_xact_lock(hashtextextended(plantroom.organisation()::text || ' commands of ' || %(login)s::text, 0));

-- name: given_since
SELECT count(*)::int FROM commands WHERE given_by = %(login)s AND asked_at > %(since)s;

-- name: last_issued
SELECT max(issued_at) FROM commands WHERE device_id = %(device)s AND measure = %(measure)s;

-- name: add
-- Without naming the constraint: the id may be used where the sender does not see it.
INSERT INTO commands (id, organisation_id, device_id, measure, value, reason, critical, given_by, asked_at, issued_at,
                      expires_at, state)
VALUES (%(id)s, plantroom.organisation(), %(device)s, %(measure)s, %(value)s, %(reason)s, %(critical)s, %(by)s, %(now)s,
        %(issued)s, %(expires)s, %(state)s)
ON CONFLICT DO NOTHING;

-- name: note_approval
UPDATE commands SET approval = %(approval)s WHERE id = %(id)s;

-- name: commands
SELECT c.id, d.code || '.' || c.measure AS point, coalesce(p.unit, '') AS unit, p.resolution, c.value, c.reason, c.critical,
       c.given_by, c.asked_at, c.approval, r.state AS approval_state, c.seconded_by, c.issued_at, c.expires_at, c.state,
       c.answered_at, c.shown, c.answer
FROM commands c JOIN devices d ON d.id = c.device_id
LEFT JOIN points p ON p.device_id = c.device_id AND p.measure = c.measure
LEFT JOIN approval_requests r ON r.organisation_id = c.organisation_id AND r.number = c.approval
WHERE (%(id)s::uuid IS NULL OR c.id = %(id)s) AND (%(device)s::text IS NULL OR d.code = %(device)s)
  AND (%(measure)s::text IS NULL OR c.measure = %(measure)s)
ORDER BY c.asked_at DESC, c.id LIMIT %(most)s;

-- name: hold
SELECT id FROM commands WHERE id = %(id)s AND state = 'asked' FOR NO KEY UPDATE;

-- name: seconded_by
SELECT d.login FROM approval_decisions d JOIN approval_requests r ON r.id = d.request_id
WHERE r.number = %(approval)s AND r.organisation_id = plantroom.organisation() AND d.round = r.round
  AND d.verdict = 'approve' AND d.login <> split_part(%(by)s, '/', 1)
ORDER BY d.at DESC LIMIT 1;

-- name: issue
UPDATE commands SET state = 'given', seconded_by = %(seconded_by)s, issued_at = %(now)s, expires_at = %(expires)s
WHERE id = %(id)s;

-- name: send
UPDATE commands c SET state = 'sent', sent_at = coalesce(c.sent_at, %(now)s), tried_at = %(now)s
FROM devices d JOIN gateways g ON g.id = d.gateway_id JOIN sites s ON s.id = g.site_id
WHERE d.id = c.device_id AND c.id IN (
    SELECT id FROM commands
    WHERE state IN ('given', 'sent') AND expires_at > %(now)s AND (tried_at IS NULL OR tried_at <= %(tried_before)s)
    ORDER BY issued_at LIMIT %(most)s FOR NO KEY UPDATE SKIP LOCKED)
RETURNING c.id, s.code AS site, g.code AS gateway, d.code AS device, c.measure, c.value, c.given_by,
          c.seconded_by IS NOT NULL AS seconded, c.issued_at, c.expires_at;

-- name: answer
UPDATE commands c SET state = %(outcome)s, answered_at = %(now)s, shown = %(shown)s, answer = %(reason)s
FROM devices d JOIN gateways g ON g.id = d.gateway_id JOIN sites s ON s.id = g.site_id
WHERE c.id = %(id)s AND d.id = c.device_id AND s.code = %(site)s AND g.code = %(gateway)s
  AND c.sent_at IS NOT NULL AND c.answered_at IS NULL
RETURNING c.id, c.organisation_id;

-- name: lapse
UPDATE commands SET state = CASE WHEN sent_at IS NULL THEN 'expired' ELSE 'uncertain' END
WHERE organisation_id = plantroom.organisation()
  AND (state IN ('given', 'sent') AND expires_at < %(unanswered_since)s
       OR state = 'asked' AND asked_at < %(asked_before)s)
RETURNING id, state;
