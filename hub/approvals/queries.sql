-- name: holders
-- Everybody who can be asked here, role by role; of the rest of the group those who hold one over all of it.
SELECT u.login, u.name, u.email, u.language, g.role, g.scope AS level, g.site_id, g.building_id
FROM users u JOIN grants g ON g.user_id = u.id
WHERE u.organisation_id = plantroom.organisation() AND u.active AND u.kind = 'staff'
  AND (g.since IS NULL OR g.since <= %(now)s) AND (g.until IS NULL OR g.until > %(now)s)
UNION ALL
SELECT login, name, email, language, role, 'group', NULL, NULL FROM plantroom.group_people(%(now)s);

-- name: deputations
SELECT d.id, p.login AS principal, p.name AS principal_name, u.login AS deputy, u.name AS deputy_name, d.start_at, d.end_at,
       d.made_by
FROM deputations d JOIN users p ON p.id = d.principal_id JOIN users u ON u.id = d.deputy_id
WHERE d.organisation_id = plantroom.organisation() AND d.end_at > %(since)s AND d.end_at > d.start_at
  AND (%(id)s::uuid IS NULL OR d.id = %(id)s)
ORDER BY d.start_at, d.id;

-- name: add_deputation
INSERT INTO deputations (organisation_id, principal_id, deputy_id, start_at, end_at, made_by, made_at)
SELECT plantroom.organisation(), p.id, d.id, %(start)s, %(end)s, %(by)s, %(now)s
FROM users p, users d WHERE p.login = %(principal)s AND d.login = %(deputy)s
RETURNING id;

-- name: end_deputation
UPDATE deputations SET end_at = greatest(start_at, %(now)s) WHERE id = %(id)s AND end_at > %(now)s;

-- name: zone
-- The time of the site, or of the organisation's first.
SELECT timezone FROM sites WHERE organisation_id = plantroom.organisation() ORDER BY id IS DISTINCT FROM %(site)s::uuid, code LIMIT 1;

-- name: own_versions
SELECT id, kind, version, valid_from, definition, written, proposed_by, proposed_at, adopted_by, adopted_at
FROM flow_versions
WHERE organisation_id = plantroom.organisation() AND (%(id)s::uuid IS NULL OR id = %(id)s)
  AND (%(kind)s::text IS NULL OR kind = %(kind)s) AND (NOT %(adopted)s OR adopted_at IS NOT NULL)
ORDER BY kind, valid_from DESC, proposed_at DESC;

-- name: propose
INSERT INTO flow_versions (organisation_id, kind, version, valid_from, definition, written, proposed_by, proposed_at)
VALUES (plantroom.organisation(), %(kind)s, %(version)s, %(valid_from)s, %(definition)s, %(written)s, %(by)s, %(now)s)
RETURNING id;

-- name: adopt
UPDATE flow_versions SET adopted_by = %(by)s, adopted_at = %(now)s WHERE id = %(id)s AND adopted_at IS NULL;

-- name: next_number
INSERT INTO counters (organisation_id, series, last) VALUES (plantroom.organisation(), 'approval', 1)
ON CONFLICT (organisation_id, series) DO UPDATE SET last = counters.last + 1
RETURNING last;

-- name: requests
SELECT r.id, r.number, r.kind, r.subject_id, r.title_zh, r.title_en, r.link, r.site_id, r.building_id, r.amount, r.currency,
       r.attributes, r.flow::text, r.submitted_by, r.authors, r.submitted_at, r.content_hash, r.round, r.asked_at, r.state, r.step,
       r.since, r.needed, r.reminded, r.escalated, r.short, r.ended_at, r.usable_until, r.used_at,
       p.number AS previous_number, s.name_zh AS site_zh, s.name_en AS site_en
FROM approval_requests r
LEFT JOIN approval_requests p ON p.id = r.previous_id
LEFT JOIN sites s ON s.id = r.site_id
WHERE r.organisation_id = plantroom.organisation()
  AND (%(id)s::uuid IS NULL OR r.id = %(id)s)
  AND (%(number)s::bigint IS NULL OR r.number = %(number)s)
  AND (%(states)s::text[] IS NULL OR r.state = ANY(%(states)s))
  AND (%(submitter)s::text IS NULL OR r.submitted_by = %(submitter)s)
  AND (%(decider)s::text IS NULL OR r.id IN (SELECT request_id FROM approval_decisions WHERE login = %(decider)s))
  AND (%(kind)s::text IS NULL OR r.kind = %(kind)s AND r.subject_id = %(subject)s)
ORDER BY r.number DESC
LIMIT %(most)s;

-- name: lock
SELECT id FROM approval_requests WHERE id = %(id)s FOR UPDATE;

-- name: add
INSERT INTO approval_requests (organisation_id, number, kind, subject_id, title_zh, title_en, link, site_id, building_id,
                               amount, currency, attributes, flow, submitted_by, authors, submitted_at, content_hash, round,
                               asked_at, state, step, since, needed, reminded, escalated, short, ended_at, usable_until,
                               previous_id)
VALUES (plantroom.organisation(), %(number)s, %(kind)s, %(subject)s, %(title_zh)s, %(title_en)s, %(link)s, %(site)s,
        %(building)s, %(amount)s, %(currency)s, %(attributes)s, %(flow)s, %(submitter)s, %(authors)s, %(submitted_at)s,
        %(content_hash)s, %(round)s, %(asked_at)s, %(state)s, %(step)s, %(since)s, %(needed)s, %(reminded)s, %(escalated)s,
        %(short)s, %(ended_at)s, %(usable_until)s, %(previous)s)
RETURNING id;

-- name: save
UPDATE approval_requests
SET authors = %(authors)s, content_hash = %(content_hash)s, round = %(round)s, asked_at = %(asked_at)s, state = %(state)s,
    step = %(step)s, since = %(since)s, needed = %(needed)s, reminded = %(reminded)s, escalated = %(escalated)s,
    short = %(short)s, ended_at = %(ended_at)s, usable_until = %(usable_until)s, used_at = %(used_at)s
WHERE id = %(id)s;

-- name: put_subject
UPDATE approval_requests
SET title_zh = %(title_zh)s, title_en = %(title_en)s, site_id = %(site)s, building_id = %(building)s, amount = %(amount)s,
    currency = %(currency)s, attributes = %(attributes)s
WHERE id = %(id)s;

-- name: add_content
INSERT INTO approval_contents (organisation_id, request_id, round, content, content_hash, written_by, written_at)
VALUES (plantroom.organisation(), %(request)s, %(round)s, %(content)s, %(hash)s, %(by)s, %(now)s);

-- name: contents
SELECT round, content, content_hash, written_by, written_at FROM approval_contents WHERE request_id = %(request)s ORDER BY round;

-- name: add_decision
INSERT INTO approval_decisions (organisation_id, request_id, submission_id, round, step, content_hash, login, principal,
                                verdict, comment, at, submitted_by)
VALUES (plantroom.organisation(), %(request)s, %(submission)s, %(round)s, %(step)s, %(hash)s, %(login)s, %(principal)s,
        %(verdict)s, %(comment)s, %(now)s, %(submitter)s);

-- name: opinions
SELECT request_id, round, step, login, principal, verdict, comment, at
FROM approval_decisions WHERE request_id = ANY(%(requests)s) ORDER BY id;

-- name: taken_before
SELECT login FROM approval_decisions WHERE request_id = %(request)s AND submission_id = %(submission)s;

-- name: places
SELECT id, code, name_zh, name_en, currency FROM sites WHERE organisation_id = plantroom.organisation() ORDER BY code;
