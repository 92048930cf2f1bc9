-- Finding a person.

-- name: find
SELECT 'user' AS kind, id, name, login AS known_by FROM users
WHERE strpos(lower(name), lower(%(text)s)) > 0 OR login = lower(%(text)s) OR lower(email) = lower(%(text)s)
UNION ALL
SELECT 'contact', c.id, c.name, t.code FROM contacts c JOIN tenants t ON t.id = c.tenant_id
WHERE strpos(lower(c.name), lower(%(text)s)) > 0 OR lower(c.email) = lower(%(text)s)
   OR (%(digits)s::text <> '' AND strpos(regexp_replace(c.phone, '\D', '', 'g'), %(digits)s::text) > 0)
UNION ALL
SELECT 'badge', h.id, h.name, s.code || ' ' || h.badge FROM badge_holders h JOIN sites s ON s.id = h.site_id
WHERE strpos(lower(h.name), lower(%(text)s)) > 0 OR lower(h.badge) = lower(%(text)s)
ORDER BY 1 DESC, 3, 4 LIMIT %(most)s;

-- name: named
SELECT 'user' AS kind, id, name, login AS known_by FROM users WHERE id = ANY(%(users)s)
UNION ALL
SELECT 'contact', c.id, c.name, t.code FROM contacts c JOIN tenants t ON t.id = c.tenant_id WHERE c.id = ANY(%(contacts)s)
UNION ALL
SELECT 'badge', h.id, h.name, s.code || ' ' || h.badge FROM badge_holders h JOIN sites s ON s.id = h.site_id
WHERE h.id = ANY(%(holders)s)
ORDER BY 1 DESC, 3, 4;

-- name: traits
WITH known AS (
    SELECT login, email, CASE WHEN kind = 'tenant' THEN tenant_id END AS tenant_id, array[name, email] AS words
    FROM users WHERE id = ANY(%(users)s)
    UNION ALL
    SELECT NULL, nullif(email, ''), NULL, array[name, phone, email, regexp_replace(phone, '\D', '', 'g'), right(regexp_replace(phone, '\D', '', 'g'), 11)]
    FROM contacts WHERE id = ANY(%(contacts)s)
    UNION ALL
    SELECT NULL, NULL, NULL, array[name] FROM badge_holders WHERE id = ANY(%(holders)s)
)
SELECT coalesce(array_agg(DISTINCT login) FILTER (WHERE login IS NOT NULL), '{}') AS logins,
       coalesce(array_agg(DISTINCT lower(email)) FILTER (WHERE email IS NOT NULL), '{}') AS emails,
       coalesce(array_agg(DISTINCT tenant_id) FILTER (WHERE tenant_id IS NOT NULL), '{}') AS tenant_ids,
       array(SELECT DISTINCT word FROM known, unnest(words) word
             WHERE length(word) > 1 AND NOT (word ~ '^[0-9 +()-]+$' AND length(regexp_replace(word, '\D', '', 'g')) < 7)) AS words
FROM known;

-- What each table knows of a person: one statement for every table of the register.

-- name: export_users
SELECT to_jsonb(x) AS record FROM (
    SELECT id, login, name, email, kind, language, skills, zones, active, created_at, ended_at FROM users WHERE id = ANY(%(users)s)) x;

-- name: export_credentials
SELECT to_jsonb(x) AS record FROM (
    SELECT user_id, password_set_at, totp_since FROM credentials WHERE user_id = ANY(%(users)s)) x;

-- name: export_password_history
SELECT to_jsonb(x) AS record FROM (
    SELECT user_id, replaced_at FROM password_history WHERE user_id = ANY(%(users)s) ORDER BY 2 LIMIT %(most)s) x;

-- name: export_recovery_codes
SELECT to_jsonb(x) AS record FROM (
    SELECT user_id, used_at FROM recovery_codes WHERE user_id = ANY(%(users)s) ORDER BY 2 LIMIT %(most)s) x;

-- name: export_invitations
SELECT to_jsonb(x) AS record FROM (
    SELECT user_id, purpose, made_at, expires_at, used_at FROM invitations WHERE user_id = ANY(%(users)s) ORDER BY 3 LIMIT %(most)s) x;

-- name: export_api_tokens
SELECT to_jsonb(x) AS record FROM (
    SELECT user_id, name, prefix, rights, created_at, created_by, expires_at, last_used_at, last_used_address, revoked_at, revoked_by
    FROM api_tokens WHERE user_id = ANY(%(users)s) OR created_by = ANY(%(logins)s) OR revoked_by = ANY(%(logins)s)
    ORDER BY 5 LIMIT %(most)s) x;

-- name: export_identities
SELECT to_jsonb(x) AS record FROM (
    SELECT user_id, issuer, subject, linked_at, linked_by, last_used_at FROM identities
    WHERE user_id = ANY(%(users)s) OR linked_by = ANY(%(logins)s) ORDER BY 4 LIMIT %(most)s) x;

-- name: export_sessions
SELECT to_jsonb(x) AS record FROM (
    SELECT user_id, created_at, seen_at, expires_at, address, factors, user_agent FROM sessions
    WHERE user_id = ANY(%(users)s) ORDER BY 2 LIMIT %(most)s) x;

-- name: export_grants
SELECT to_jsonb(x) AS record FROM (
    SELECT user_id, role, scope, site_id, building_id, since, until, granted_by, granted_at FROM grants
    WHERE user_id = ANY(%(users)s) OR granted_by = ANY(%(logins)s) ORDER BY 9 LIMIT %(most)s) x;

-- name: export_audit_entries
SELECT to_jsonb(x) AS record FROM (
    SELECT id, at, actor, on_behalf_of, address, action, entity, entity_id, details, reason FROM audit_entries
    WHERE organisation_id = plantroom.organisation()
      AND (actor = ANY(%(logins)s) OR on_behalf_of = ANY(%(logins)s) OR entity_id = ANY(%(ids)s::text[])) ORDER BY 1 LIMIT %(most)s) x;

-- name: export_approval_requests
SELECT to_jsonb(x) AS record FROM (
    SELECT number, kind, title_zh, title_en, submitted_by, submitted_at, state FROM approval_requests
    WHERE authors && %(logins)s ORDER BY 1 LIMIT %(most)s) x;

-- name: export_approval_contents
SELECT to_jsonb(x) AS record FROM (
    SELECT request_id, round, written_by, written_at FROM approval_contents WHERE written_by = ANY(%(logins)s) ORDER BY 4 LIMIT %(most)s) x;

-- name: export_approval_decisions
SELECT to_jsonb(x) AS record FROM (
    SELECT request_id, login, principal, verdict, comment, at FROM approval_decisions
    WHERE login = ANY(%(logins)s) OR principal = ANY(%(logins)s) ORDER BY 6 LIMIT %(most)s) x;

-- name: export_commissionings
SELECT to_jsonb(x) AS record FROM (
    SELECT point_id, at, by_whom, received_at, received_from FROM commissionings
    WHERE by_whom = ANY(%(logins)s) OR received_from = ANY(%(logins)s)
       OR by_whom <> plantroom.without(by_whom, %(words)s, '') ORDER BY 2 LIMIT %(most)s) x;

-- name: export_corrections
SELECT to_jsonb(x) AS record FROM (
    SELECT number, point, kind, reason, asked_by, asked_at, seconded_by, in_force_by, in_force_at, state FROM corrections
    WHERE asked_by = ANY(%(logins)s) OR seconded_by = ANY(%(logins)s) OR in_force_by = ANY(%(logins)s)
       OR reason <> plantroom.without(reason, %(words)s, '') ORDER BY 1 LIMIT %(most)s) x;

-- name: export_correction_photos
SELECT to_jsonb(x) AS record FROM (
    SELECT c.number, f.media_type FROM correction_photos f JOIN corrections c ON c.id = f.correction_id
    WHERE c.asked_by = ANY(%(logins)s) ORDER BY 1 LIMIT %(most)s) x;

-- name: export_deputations
SELECT to_jsonb(x) AS record FROM (
    SELECT principal_id, deputy_id, start_at, end_at, made_by FROM deputations
    WHERE principal_id = ANY(%(users)s) OR deputy_id = ANY(%(users)s) OR made_by = ANY(%(logins)s) ORDER BY 3 LIMIT %(most)s) x;

-- name: export_imports
SELECT to_jsonb(x) AS record FROM (
    SELECT id, name, checked_at, checked_by, stored_at, stored_by FROM imports
    WHERE checked_by = ANY(%(logins)s) OR stored_by = ANY(%(logins)s) ORDER BY 3 LIMIT %(most)s) x;

-- name: export_flow_versions
SELECT to_jsonb(x) AS record FROM (
    SELECT kind, version, proposed_by, proposed_at, adopted_by, adopted_at FROM flow_versions
    WHERE proposed_by = ANY(%(logins)s) OR adopted_by = ANY(%(logins)s) ORDER BY 4 LIMIT %(most)s) x;

-- name: export_commands
SELECT to_jsonb(x) AS record FROM (
    SELECT id, measure, value, reason, given_by, seconded_by, asked_at, state FROM commands
    WHERE given_by = ANY(%(logins)s) OR seconded_by = ANY(%(logins)s) ORDER BY asked_at LIMIT %(most)s) x;

-- name: export_alarms
SELECT to_jsonb(x) AS record FROM (
    SELECT id, name_zh, name_en, raised_at, acknowledged_at, acknowledged_by, comment FROM alarms
    WHERE acknowledged_by = ANY(%(logins)s) OR comment <> plantroom.without(comment, %(words)s, '') ORDER BY 4 LIMIT %(most)s) x;

-- name: export_alarm_events
SELECT to_jsonb(x) AS record FROM (
    SELECT alarm_id, at, event, actor, note FROM alarm_events
    WHERE actor = ANY(%(logins)s) OR note <> plantroom.without(note, %(words)s, '') ORDER BY 2 LIMIT %(most)s) x;

-- name: export_work_orders
SELECT to_jsonb(x) AS record FROM (
    SELECT number, title_zh, title_en, assigned_because_zh, assigned_because_en FROM work_orders
    WHERE assignee_id = ANY(%(users)s) OR assigned_because_zh <> plantroom.without(assigned_because_zh, %(words)s, '')
       OR assigned_because_en <> plantroom.without(assigned_because_en, %(words)s, '') ORDER BY 1 LIMIT %(most)s) x;

-- name: export_work_order_events
SELECT to_jsonb(x) AS record FROM (
    SELECT order_id, at, actor, verb, to_state, note_zh, note_en FROM work_order_events
    WHERE actor = ANY(%(logins)s) OR note_zh <> plantroom.without(note_zh, %(words)s, '')
       OR note_en <> plantroom.without(note_en, %(words)s, '') ORDER BY 2 LIMIT %(most)s) x;

-- name: export_mails
SELECT to_jsonb(x) AS record FROM (
    SELECT id, address, language, subject, created_at, sent_at FROM mails WHERE lower(address) = ANY(%(emails)s) ORDER BY 5 LIMIT %(most)s) x;

-- name: export_contacts
SELECT to_jsonb(x) AS record FROM (
    SELECT c.id, t.code AS tenant, c.name, c.position, c.phone, c.email, c.added_at
    FROM contacts c JOIN tenants t ON t.id = c.tenant_id WHERE c.id = ANY(%(contacts)s)) x;

-- name: export_bank_accounts
SELECT to_jsonb(x) AS record FROM (
    SELECT id, holder, bank, masked, added_at, ended_at FROM bank_accounts WHERE tenant_id = ANY(%(tenants)s) ORDER BY 5 LIMIT %(most)s) x;

-- name: export_tenants
SELECT to_jsonb(x) AS record FROM (
    SELECT code, name_zh, name_en, tax_number, address FROM tenants WHERE id = ANY(%(tenants)s)) x;

-- name: export_invoices
SELECT to_jsonb(x) AS record FROM (
    SELECT number, period_start, issued_on, currency, total FROM invoices WHERE tenant_id = ANY(%(tenants)s) ORDER BY 1 LIMIT %(most)s) x;

-- name: export_charges
SELECT to_jsonb(x) AS record FROM (
    SELECT invoice_id, kind, period_start, description_zh, description_en, amount FROM charges
    WHERE tenant_id = ANY(%(tenants)s) ORDER BY 3, 2 LIMIT %(most)s) x;

-- name: export_postings
SELECT to_jsonb(x) AS record FROM (
    SELECT posted_on, source, description FROM postings p
    WHERE EXISTS (SELECT FROM posting_lines l WHERE l.posting_id = p.id AND l.tenant_id = ANY(%(tenants)s))
    ORDER BY 1 LIMIT %(most)s) x;

-- name: export_badge_events
SELECT to_jsonb(x) AS record FROM (
    SELECT e.at, s.code AS site, z.code AS zone, e.door, e.result
    FROM badge_events e JOIN sites s ON s.id = e.site_id JOIN zones z ON z.id = e.zone_id
    WHERE e.holder_id = ANY(%(holders)s) ORDER BY 1 LIMIT %(most)s) x;

-- name: export_badge_holders
SELECT to_jsonb(x) AS record FROM (
    SELECT h.id, s.code AS site, h.badge, h.name, h.added_at FROM badge_holders h JOIN sites s ON s.id = h.site_id
    WHERE h.id = ANY(%(holders)s)) x;

-- name: export_stills
SELECT to_jsonb(x) AS record FROM (
    SELECT i.id, s.code AS site, z.code AS zone, i.camera, i.at, i.kind, i.kept_until
    FROM stills i JOIN sites s ON s.id = i.site_id JOIN zones z ON z.id = i.zone_id
    WHERE i.holder_id = ANY(%(holders)s) ORDER BY 5 LIMIT %(most)s) x;

-- name: export_privacy_requests
SELECT to_jsonb(x) AS record FROM (
    SELECT id, kind, reason, asked_by, asked_at, approval, withdrawn_at, done_by, done_at, report FROM privacy_requests
    WHERE user_ids && %(users)s OR contact_ids && %(contacts)s OR holder_ids && %(holders)s
       OR asked_by = ANY(%(logins)s) OR done_by = ANY(%(logins)s) ORDER BY 5 LIMIT %(most)s) x;

-- name: pictures
SELECT id, picture FROM stills WHERE holder_id = ANY(%(holders)s) ORDER BY at LIMIT %(most)s;

-- name: evidence
-- Stills that are evidence stay until the day that was said.
SELECT count(*)::int FROM stills WHERE holder_id = ANY(%(holders)s) AND kept_until > %(now)s;

-- What an erasure does; a login in somebody else's record becomes the pseudonym that the user's record got.

-- name: erase_users
UPDATE users SET login = plantroom.pseudonym(id), name = plantroom.pseudonym(id), email = NULL, skills = '{}', zones = '{}', active = false
WHERE id = ANY(%(users)s);

-- name: erase_credentials
DELETE FROM credentials WHERE user_id = ANY(%(users)s);

-- name: erase_password_history
DELETE FROM password_history WHERE user_id = ANY(%(users)s);

-- name: erase_recovery_codes
DELETE FROM recovery_codes WHERE user_id = ANY(%(users)s);

-- name: erase_invitations
DELETE FROM invitations WHERE user_id = ANY(%(users)s);

-- name: erase_api_tokens
WITH gone AS (DELETE FROM api_tokens WHERE user_id = ANY(%(users)s))
UPDATE api_tokens SET created_by = coalesce((SELECT pseudonym FROM plantroom.renamed(%(users)s) WHERE login = created_by), created_by),
    revoked_by = coalesce((SELECT pseudonym FROM plantroom.renamed(%(users)s) WHERE login = revoked_by), revoked_by)
WHERE user_id <> ALL(%(users)s) AND (created_by = ANY(%(logins)s) OR revoked_by = ANY(%(logins)s));

-- name: erase_identities
WITH gone AS (DELETE FROM identities WHERE user_id = ANY(%(users)s))
UPDATE identities SET linked_by = w.pseudonym FROM plantroom.renamed(%(users)s) w WHERE linked_by = w.login AND user_id <> ALL(%(users)s);

-- name: erase_sessions
DELETE FROM sessions WHERE user_id = ANY(%(users)s);

-- name: erase_grants
UPDATE grants SET granted_by = w.pseudonym FROM plantroom.renamed(%(users)s) w WHERE granted_by = w.login;

-- name: erase_alarms
UPDATE alarms SET acknowledged_by = coalesce((SELECT pseudonym FROM plantroom.renamed(%(users)s) WHERE login = acknowledged_by), acknowledged_by),
    comment = plantroom.without(comment, %(words)s, %(instead)s)
WHERE acknowledged_by = ANY(%(logins)s) OR comment <> plantroom.without(comment, %(words)s, '');

-- name: erase_alarm_events
UPDATE alarm_events SET actor = coalesce((SELECT pseudonym FROM plantroom.renamed(%(users)s) WHERE login = actor), actor),
    note = plantroom.without(note, %(words)s, %(instead)s)
WHERE actor = ANY(%(logins)s) OR note <> plantroom.without(note, %(words)s, '');

-- name: erase_work_orders
UPDATE work_orders SET assigned_because_zh = plantroom.without(assigned_because_zh, %(words)s, %(instead)s),
    assigned_because_en = plantroom.without(assigned_because_en, %(words)s, %(instead)s)
WHERE assigned_because_zh <> plantroom.without(assigned_because_zh, %(words)s, '')
   OR assigned_because_en <> plantroom.without(assigned_because_en, %(words)s, '');

-- name: erase_work_order_events
UPDATE work_order_events SET actor = coalesce((SELECT pseudonym FROM plantroom.renamed(%(users)s) WHERE login = actor), actor),
    note_zh = plantroom.without(note_zh, %(words)s, %(instead)s), note_en = plantroom.without(note_en, %(words)s, %(instead)s)
WHERE actor = ANY(%(logins)s) OR note_zh <> plantroom.without(note_zh, %(words)s, '')
   OR note_en <> plantroom.without(note_en, %(words)s, '');

-- name: erase_mails
DELETE FROM mails WHERE lower(address) = ANY(%(emails)s);

-- name: erase_contacts
DELETE FROM contacts WHERE id = ANY(%(contacts)s);

-- name: erase_stills
DELETE FROM stills WHERE holder_id = ANY(%(holders)s) AND (kept_until IS NULL OR kept_until <= %(now)s);

-- name: erase_badge_holders
UPDATE badge_holders SET badge = plantroom.pseudonym(id), name = '' WHERE id = ANY(%(holders)s);

-- name: erase_privacy_requests
UPDATE privacy_requests SET
    asked_by = coalesce((SELECT pseudonym FROM plantroom.renamed(%(users)s) WHERE login = asked_by), asked_by),
    done_by = coalesce((SELECT pseudonym FROM plantroom.renamed(%(users)s) WHERE login = done_by), done_by),
    reason = plantroom.without(reason, %(words)s, %(instead)s)
WHERE asked_by = ANY(%(logins)s) OR done_by = ANY(%(logins)s)
   OR reason <> plantroom.without(reason, %(words)s, '');

-- How much is kept, and what has outlived its period (since when, see the register); a batch of it is removed at once.

-- name: state_users
SELECT count(*)::int AS kept, (count(*) FILTER (WHERE ended_at <= %(before)s AND login <> plantroom.pseudonym(id)))::int AS due,
       min(ended_at) FILTER (WHERE login <> plantroom.pseudonym(id)) AS oldest FROM users;

-- name: due_users
SELECT id FROM users WHERE ended_at <= %(before)s AND login <> plantroom.pseudonym(id) ORDER BY ended_at LIMIT %(most)s;

-- name: state_sessions
SELECT count(*)::int AS kept, (count(*) FILTER (WHERE expires_at <= %(before)s))::int AS due, min(expires_at) AS oldest FROM sessions;

-- name: remove_sessions
DELETE FROM sessions WHERE id IN (
    SELECT id FROM sessions WHERE expires_at <= %(before)s ORDER BY expires_at LIMIT %(most)s);

-- name: state_mails
SELECT count(*)::int AS kept, (count(*) FILTER (WHERE created_at <= %(before)s))::int AS due, min(created_at) AS oldest FROM mails;

-- name: remove_mails
DELETE FROM mails WHERE id IN (SELECT id FROM mails WHERE created_at <= %(before)s ORDER BY created_at LIMIT %(most)s);

-- name: state_contacts
SELECT count(*)::int AS kept, (count(*) FILTER (WHERE since <= %(before)s))::int AS due, min(since) AS oldest
FROM (SELECT greatest(c.added_at, (SELECT max(l.end_on) + 1 FROM leases l WHERE l.tenant_id = c.tenant_id)::timestamp AT TIME ZONE 'UTC')
      AS since FROM contacts c) x;

-- name: remove_contacts
DELETE FROM contacts WHERE id IN (
    SELECT c.id FROM contacts c
    WHERE greatest(c.added_at, (SELECT max(l.end_on) + 1 FROM leases l WHERE l.tenant_id = c.tenant_id)::timestamp AT TIME ZONE 'UTC')
          <= %(before)s
    ORDER BY c.added_at LIMIT %(most)s);

-- name: state_bank_accounts
SELECT count(*)::int AS kept, (count(*) FILTER (WHERE ended_at <= %(before)s))::int AS due, min(ended_at) AS oldest FROM bank_accounts;

-- name: remove_bank_accounts
DELETE FROM bank_accounts WHERE id IN (
    SELECT id FROM bank_accounts WHERE ended_at <= %(before)s ORDER BY ended_at LIMIT %(most)s);

-- name: state_badge_events
SELECT count(*)::int AS kept, (count(*) FILTER (WHERE at <= %(before)s))::int AS due, min(at) AS oldest FROM badge_events;

-- name: remove_badge_events
DELETE FROM badge_events WHERE id IN (SELECT id FROM badge_events WHERE at <= %(before)s ORDER BY at LIMIT %(most)s);

-- name: state_badge_holders
SELECT count(*)::int AS kept, (count(*) FILTER (WHERE unseen AND added_at <= %(before)s))::int AS due,
       min(added_at) FILTER (WHERE unseen) AS oldest
FROM (SELECT added_at, NOT EXISTS (SELECT FROM badge_events WHERE holder_id = h.id)
                       AND NOT EXISTS (SELECT FROM stills WHERE holder_id = h.id) AS unseen FROM badge_holders h) x;

-- name: remove_badge_holders
DELETE FROM badge_holders WHERE id IN (
    SELECT id FROM badge_holders h
    WHERE added_at <= %(before)s AND NOT EXISTS (SELECT FROM badge_events WHERE holder_id = h.id)
      AND NOT EXISTS (SELECT FROM stills WHERE holder_id = h.id)
    ORDER BY added_at LIMIT %(most)s);

-- name: state_stills
SELECT count(*)::int AS kept, (count(*) FILTER (WHERE at <= %(before)s AND (kept_until IS NULL OR kept_until <= %(now)s)))::int AS due,
       min(at) FILTER (WHERE kept_until IS NULL OR kept_until <= %(now)s) AS oldest FROM stills;

-- name: remove_stills
DELETE FROM stills WHERE id IN (
    SELECT id FROM stills WHERE at <= %(before)s AND (kept_until IS NULL OR kept_until <= %(now)s) ORDER BY at LIMIT %(most)s);

-- name: state_privacy_requests
SELECT count(*)::int AS kept, (count(*) FILTER (WHERE asked_at <= %(before)s AND (done_at IS NOT NULL OR withdrawn_at IS NOT NULL)))::int
       AS due, min(asked_at) AS oldest FROM privacy_requests;

-- name: remove_privacy_requests
DELETE FROM privacy_requests WHERE id IN (
    SELECT id FROM privacy_requests WHERE asked_at <= %(before)s AND (done_at IS NOT NULL OR withdrawn_at IS NOT NULL)
    ORDER BY asked_at LIMIT %(most)s);

-- Requests.

-- name: requests
SELECT id, kind, user_ids, contact_ids, holder_ids, reason, asked_by, asked_at, approval, withdrawn_at, done_by, done_at, report
FROM privacy_requests WHERE %(id)s::uuid IS NULL OR id = %(id)s
ORDER BY asked_at DESC, id LIMIT %(most)s;

-- name: hold_request
SELECT id, kind, user_ids, contact_ids, holder_ids, reason, asked_by, asked_at, approval, withdrawn_at, done_by, done_at, report
FROM privacy_requests WHERE id = %(id)s FOR UPDATE;

-- name: ask
INSERT INTO privacy_requests (id, organisation_id, kind, user_ids, contact_ids, holder_ids, reason, asked_by, asked_at, approval, done_by,
                              done_at, report)
VALUES (%(id)s, plantroom.organisation(), %(kind)s, %(users)s, %(contacts)s, %(holders)s, %(reason)s, %(by)s, %(now)s,
        %(approval)s, %(done_by)s, %(done_at)s, %(report)s);

-- name: withdraw
UPDATE privacy_requests SET withdrawn_at = %(now)s WHERE id = %(id)s;

-- name: finish
UPDATE privacy_requests SET done_by = %(by)s, done_at = %(now)s, report = %(report)s WHERE id = %(id)s;
