-- name: account
-- Who wants to come in under this name, with the roles that he holds now.
SELECT u.id, u.organisation_id, u.login, u.language, u.active AND o.closed_at IS NULL AS active, c.password_hash,
       c.totp_seed IS NOT NULL AS enrolled,
       array(SELECT DISTINCT g.role FROM grants g
             WHERE g.user_id = u.id AND (g.since IS NULL OR g.since <= %(now)s) AND (g.until IS NULL OR g.until > %(now)s)) AS roles
FROM users u JOIN organisations o ON o.id = u.organisation_id LEFT JOIN credentials c ON c.user_id = u.id
WHERE u.login = %(login)s;

-- name: account_of
SELECT u.id, u.organisation_id, u.login, u.language, u.active AND o.closed_at IS NULL AS active, c.password_hash,
       c.totp_seed IS NOT NULL AS enrolled,
       array(SELECT DISTINCT g.role FROM grants g
             WHERE g.user_id = u.id AND (g.since IS NULL OR g.since <= %(now)s) AND (g.until IS NULL OR g.until > %(now)s)) AS roles
FROM users u JOIN organisations o ON o.id = u.organisation_id LEFT JOIN credentials c ON c.user_id = u.id
WHERE u.id = %(user)s;

-- name: renew_hash
-- The same password under today's parameters.
UPDATE credentials SET password_hash = %(hash)s WHERE user_id = %(user)s;

-- name: one_guess_at_a_time
SELECT pg_advisory_xact_lock(%(number)s);

-- name: holds
SELECT held_until FROM throttles WHERE key = ANY(%(keys)s::bytea[]) AND held_until > %(now)s LIMIT 1;

-- name: count_failure
INSERT INTO throttles (key, failures, last_at, held_until) VALUES (%(key)s, 1, %(now)s, %(now)s)
ON CONFLICT (key) DO UPDATE SET last_at = excluded.last_at, failures = least(%(most)s, 1 + greatest(0,
    throttles.failures - floor(extract(epoch FROM excluded.last_at - throttles.last_at) / %(forgiven_every_s)s)::integer))
RETURNING failures;

-- name: hold_back
UPDATE throttles SET held_until = %(until)s WHERE key = %(key)s;

-- name: forgive
DELETE FROM throttles WHERE key = %(key)s;

-- name: drop_throttles
DELETE FROM throttles WHERE last_at < %(before)s
   OR key IN (SELECT key FROM throttles ORDER BY last_at DESC OFFSET %(most)s);

-- name: words
-- What somebody would try who knows the user and his organisation.
SELECT word FROM (
    SELECT unnest(ARRAY[login, name, split_part(email, '@', 1), split_part(email, '@', 2)]) AS word FROM users WHERE id = %(user)s
    UNION ALL SELECT unnest(ARRAY[code, name_zh, name_en]) FROM organisations
    UNION ALL SELECT unnest(ARRAY[code, name_zh, name_en]) FROM sites
) known WHERE word <> '';

-- name: credentials
SELECT u.email, c.password_set_at, c.totp_since,
       (SELECT count(*) FROM recovery_codes r WHERE r.user_id = u.id AND r.used_at IS NULL) AS codes_left
FROM users u LEFT JOIN credentials c ON c.user_id = u.id WHERE u.id = %(user)s AND u.organisation_id = %(organisation)s;

-- name: past_passwords
(SELECT password_hash AS word FROM credentials WHERE user_id = %(user)s AND password_hash IS NOT NULL)
UNION ALL (SELECT password_hash FROM password_history WHERE user_id = %(user)s ORDER BY replaced_at DESC LIMIT %(most)s);

-- name: add_credentials
INSERT INTO credentials (user_id, organisation_id, password_hash, password_set_at)
VALUES (%(user)s, %(organisation)s, %(hash)s, CASE WHEN %(hash)s::text IS NOT NULL THEN now() END);

-- name: retire_password
INSERT INTO password_history (organisation_id, user_id, replaced_at, password_hash)
SELECT organisation_id, user_id, %(now)s, password_hash FROM credentials WHERE user_id = %(user)s AND password_hash IS NOT NULL;

-- name: set_password
UPDATE credentials SET password_hash = %(hash)s, password_set_at = CASE WHEN %(hash)s::text IS NOT NULL THEN %(now)s::timestamptz END
WHERE user_id = %(user)s;

-- name: forget_old_passwords
DELETE FROM password_history h WHERE user_id = %(user)s AND ctid NOT IN (
    SELECT ctid FROM password_history WHERE user_id = %(user)s ORDER BY replaced_at DESC LIMIT %(most)s);

-- name: seed
SELECT user_id, organisation_id, totp_seed FROM credentials WHERE user_id = %(user)s AND totp_seed IS NOT NULL;

-- name: seeds
SELECT user_id, organisation_id, totp_seed FROM credentials WHERE totp_seed IS NOT NULL FOR UPDATE;

-- name: seal_seed_again
UPDATE credentials SET totp_seed = %(seed)s WHERE user_id = %(user)s AND totp_seed = %(old)s;

-- name: use_step
UPDATE credentials SET totp_step = %(step)s WHERE user_id = %(user)s AND totp_step < %(step)s;

-- name: set_seed
UPDATE credentials SET totp_seed = %(seed)s, totp_since = %(now)s, totp_step = %(step)s
WHERE user_id = %(user)s AND (%(instead)s OR totp_seed IS NULL);

-- name: drop_seed
UPDATE credentials SET totp_seed = NULL, totp_since = NULL WHERE user_id = %(user)s AND organisation_id = %(organisation)s;

-- name: add_recovery_code
INSERT INTO recovery_codes (organisation_id, user_id, code_hash) VALUES (%(organisation)s, %(user)s, %(hash)s);

-- name: use_recovery_code
UPDATE recovery_codes SET used_at = %(now)s WHERE user_id = %(user)s AND code_hash = %(hash)s AND used_at IS NULL;

-- name: count_recovery_codes
SELECT count(*) FROM recovery_codes WHERE user_id = %(user)s AND used_at IS NULL;

-- name: drop_recovery_codes
DELETE FROM recovery_codes WHERE user_id = %(user)s;

-- name: supersede_invitations
UPDATE invitations SET superseded_at = %(now)s
WHERE user_id = %(user)s AND organisation_id = %(organisation)s AND used_at IS NULL AND superseded_at IS NULL;

-- name: add_invitation
INSERT INTO invitations (token_hash, organisation_id, user_id, purpose, made_at, expires_at)
SELECT %(hash)s, organisation_id, id, %(purpose)s, %(now)s, %(expires_at)s
FROM users WHERE id = %(user)s AND organisation_id = %(organisation)s AND active AND kind <> 'service';

-- name: invited
-- Whom a link is for, as long as it is valid.
SELECT u.id AS user_id, u.organisation_id, u.login, u.name, u.language, i.purpose, i.expires_at
FROM invitations i JOIN users u ON u.id = i.user_id JOIN organisations o ON o.id = u.organisation_id
WHERE i.token_hash = %(hash)s AND i.used_at IS NULL AND i.superseded_at IS NULL AND i.expires_at > %(now)s
  AND u.active AND o.closed_at IS NULL;

-- name: use_invitation
UPDATE invitations SET used_at = %(now)s
WHERE token_hash = %(hash)s AND used_at IS NULL AND superseded_at IS NULL AND expires_at > %(now)s;

-- name: who_may_reset
-- Whoever has the name or the address, signs in with a password, can be reached by mail and has not asked too often.
SELECT u.id AS user_id, u.organisation_id, u.login, u.name, u.language, 'reset' AS purpose, %(expires_at)s::timestamptz AS expires_at
FROM users u JOIN organisations o ON o.id = u.organisation_id JOIN credentials c ON c.user_id = u.id
WHERE (u.login = %(said)s OR u.email = %(said)s) AND u.email IS NOT NULL AND u.active AND o.closed_at IS NULL
  AND c.password_hash IS NOT NULL
  AND (SELECT count(*) FROM invitations i WHERE i.user_id = u.id AND i.purpose = 'reset' AND i.made_at > %(since)s) < %(most)s;

-- name: drop_invitations
DELETE FROM invitations WHERE expires_at < %(before)s;

-- name: email
SELECT email AS word FROM users WHERE id = %(user)s AND email IS NOT NULL;

-- name: open_session
INSERT INTO sessions (token_hash, organisation_id, user_id, csrf, created_at, seen_at, expires_at, address, stage, factors,
                      authenticated_at, user_agent)
VALUES (%(token_hash)s, %(organisation)s, %(user)s, %(csrf)s, %(now)s, %(now)s, %(expires_at)s, %(address)s, %(stage)s, %(factors)s,
        %(now)s, %(user_agent)s);

-- name: renew_session
-- A new token for a session whose holder proved himself; the old one must still be its token.
UPDATE sessions SET token_hash = %(new)s, csrf = %(csrf)s, stage = 'full', factors = %(factors)s, authenticated_at = %(now)s,
                    expires_at = %(expires_at)s
WHERE token_hash = %(old)s;

-- name: drop_oldest_sessions
DELETE FROM sessions WHERE token_hash IN (
    SELECT token_hash FROM sessions WHERE user_id = %(user)s ORDER BY created_at DESC, id OFFSET %(most)s);

-- name: session
SELECT u.id AS user_id, o.id AS organisation_id, u.organisation_id AS home_id, u.login, u.name, u.kind, u.tenant_id,
       u.language, s.csrf, s.expires_at, s.id AS session_id, s.seen_at, s.stage = 'full' AS through,
       coalesce(c.totp_seed IS NOT NULL, false) AS enrolled, s.factors, s.authenticated_at, s.site_id,
       (SELECT min(g.until) FROM grants g WHERE g.user_id = u.id AND g.until > %(now)s) AS role_ends_at
FROM sessions s
JOIN users u ON u.id = s.user_id
JOIN organisations h ON h.id = u.organisation_id
JOIN organisations o ON o.id = coalesce(s.acting_id, h.id)
LEFT JOIN credentials c ON c.user_id = u.id
WHERE s.token_hash = %(token_hash)s AND u.active AND s.expires_at > %(now)s AND s.seen_at > %(idle_since)s
  AND h.closed_at IS NULL AND o.closed_at IS NULL AND (o.id = h.id OR o.group_id = h.group_id);

-- name: sessions
SELECT s.id, s.user_id, u.login, s.factors, s.stage = 'full' AS through, s.created_at, s.seen_at, s.expires_at, s.address, s.user_agent
FROM sessions s JOIN users u ON u.id = s.user_id
WHERE s.organisation_id = %(organisation)s AND (%(user)s::uuid IS NULL OR s.user_id = %(user)s)
  AND s.expires_at > %(now)s AND s.seen_at > %(idle_since)s
ORDER BY s.seen_at DESC, s.id;

-- name: end_session
DELETE FROM sessions s USING users u
WHERE s.id = %(id)s AND s.organisation_id = %(organisation)s AND u.id = s.user_id AND (%(user)s::uuid IS NULL OR s.user_id = %(user)s)
RETURNING u.id AS user_id, u.organisation_id, u.login;

-- name: end_sessions_of
DELETE FROM sessions
WHERE user_id = %(user)s AND organisation_id = %(organisation)s AND (%(but)s::uuid IS NULL OR id <> %(but)s);

-- name: end_everybody
DELETE FROM sessions WHERE organisation_id = %(organisation)s AND (%(but)s::uuid IS NULL OR id <> %(but)s);

-- name: grants
-- What a user holds now; elsewhere in the group only what he holds over the group.
SELECT role, scope, site_id, building_id FROM grants
WHERE user_id = %(user)s AND (since IS NULL OR since <= %(now)s) AND (until IS NULL OR until > %(now)s) AND (%(home)s OR scope = 'group')
ORDER BY role, scope, site_id, building_id;

-- name: touch
WITH touched AS (
    UPDATE sessions SET seen_at = %(now)s WHERE token_hash = %(token_hash)s AND seen_at < %(stale)s RETURNING user_id
) UPDATE users SET seen_at = %(now)s FROM touched WHERE id = touched.user_id;

-- name: close_session
DELETE FROM sessions s USING users u WHERE s.token_hash = %(token_hash)s AND u.id = s.user_id
RETURNING u.id AS user_id, u.organisation_id, u.login;

-- name: drop_expired
DELETE FROM sessions WHERE expires_at < %(now)s OR seen_at < %(idle_since)s;

-- name: add_user
INSERT INTO users (organisation_id, login, name, kind, tenant_id, email, language, skills, zones)
VALUES (plantroom.organisation(), %(login)s, %(name)s, %(kind)s, %(tenant_id)s, %(email)s, %(language)s,
        %(skills)s, %(zones)s)
RETURNING id;

-- name: add_grant
INSERT INTO grants (organisation_id, user_id, kind, role, scope, site_id, building_id, since, until, granted_by)
SELECT u.organisation_id, u.id, u.kind, %(role)s,
       CASE WHEN %(building)s::uuid IS NOT NULL THEN 'building' WHEN %(site)s::uuid IS NOT NULL THEN 'site' ELSE 'organisation' END,
       coalesce(%(site)s, (SELECT site_id FROM spaces WHERE id = %(building)s AND kind = 'building')), %(building)s,
       %(since)s, %(until)s, %(by)s
FROM users u WHERE u.id = %(user)s;

-- name: set_email
UPDATE users SET email = %(email)s WHERE id = %(id)s AND organisation_id = %(organisation)s;

-- name: set_language
UPDATE users SET language = %(language)s WHERE id = %(id)s;

-- name: users
SELECT u.id, u.login, u.name, u.kind, u.language, u.skills, u.zones, u.active,
       array(SELECT DISTINCT g.role FROM grants g
             WHERE g.user_id = u.id AND (g.since IS NULL OR g.since <= now()) AND (g.until IS NULL OR g.until > now()) ORDER BY 1) AS roles
FROM users u ORDER BY u.kind, u.login;

-- name: user
SELECT u.id, u.login, u.name, u.kind, u.language, u.skills, u.zones, u.active,
       array(SELECT DISTINCT g.role FROM grants g
             WHERE g.user_id = u.id AND (g.since IS NULL OR g.since <= now()) AND (g.until IS NULL OR g.until > now()) ORDER BY 1) AS roles
FROM users u WHERE u.id = %(id)s;

-- name: token_owner
SELECT t.id, t.name, t.rights, t.site_id, t.building_id, t.expires_at, t.revoked_at IS NOT NULL AS revoked,
       u.id AS user_id, u.organisation_id, u.login, u.kind, u.language, u.active, o.closed_at IS NOT NULL AS closed
FROM api_tokens t JOIN users u ON u.id = t.user_id JOIN organisations o ON o.id = u.organisation_id
WHERE t.secret_hash = %(hash)s;

-- name: use_token
UPDATE api_tokens SET last_used_at = %(now)s, last_used_address = %(address)s
WHERE id = %(id)s AND (last_used_at IS NULL OR last_used_at < %(stale)s);

-- name: refuse_token
UPDATE api_tokens SET refused_at = %(now)s WHERE id = %(id)s AND (refused_at IS NULL OR refused_at < %(stale)s);

-- name: count_tokens
SELECT count(*) FROM api_tokens WHERE user_id = %(user)s AND revoked_at IS NULL AND expires_at > %(now)s;

-- name: add_token
INSERT INTO api_tokens (organisation_id, user_id, name, prefix, secret_hash, rights, site_id, building_id, created_at, created_by,
                        expires_at)
VALUES (plantroom.organisation(), %(user)s, %(name)s, %(prefix)s, %(hash)s, %(rights)s,
        coalesce(%(site)s, (SELECT site_id FROM spaces WHERE id = %(building)s AND kind = 'building')), %(building)s, %(now)s,
        %(by)s, %(expires_at)s)
RETURNING id;

-- name: token
SELECT t.id, t.user_id, u.login, u.kind, t.name, t.prefix, t.rights, t.site_id, t.building_id,
       coalesce(b.name_zh, s.name_zh) AS place_zh, coalesce(b.name_en, s.name_en) AS place_en, t.created_at, t.created_by,
       t.expires_at, t.last_used_at, t.last_used_address, t.refused_at, t.revoked_at, t.revoked_by
FROM api_tokens t JOIN users u ON u.id = t.user_id
LEFT JOIN sites s ON s.id = t.site_id LEFT JOIN spaces b ON b.id = t.building_id
WHERE t.id = %(id)s;

-- name: tokens
-- Of one user or of all; those in force first.
SELECT t.id, t.user_id, u.login, u.kind, t.name, t.prefix, t.rights, t.site_id, t.building_id,
       coalesce(b.name_zh, s.name_zh) AS place_zh, coalesce(b.name_en, s.name_en) AS place_en, t.created_at, t.created_by,
       t.expires_at, t.last_used_at, t.last_used_address, t.refused_at, t.revoked_at, t.revoked_by
FROM api_tokens t JOIN users u ON u.id = t.user_id
LEFT JOIN sites s ON s.id = t.site_id LEFT JOIN spaces b ON b.id = t.building_id
WHERE %(user)s::uuid IS NULL OR t.user_id = %(user)s
ORDER BY t.revoked_at IS NOT NULL, t.expires_at, u.login, t.name;

-- name: revoke_token
UPDATE api_tokens SET revoked_at = %(now)s, revoked_by = %(by)s WHERE id = %(id)s AND revoked_at IS NULL;

-- name: revoke_tokens
UPDATE api_tokens SET revoked_at = %(now)s, revoked_by = %(by)s WHERE user_id = %(user)s AND revoked_at IS NULL;

-- name: put_group
INSERT INTO groups (code, name_zh, name_en) VALUES (%(code)s, %(name_zh)s, %(name_en)s)
ON CONFLICT (code) DO UPDATE SET name_zh = excluded.name_zh, name_en = excluded.name_en
RETURNING id;

-- name: group
SELECT id, code, name_zh, name_en FROM groups WHERE code = %(code)s;

-- name: put_organisation
INSERT INTO organisations (code, name_zh, name_en, group_id) VALUES (%(code)s, %(name_zh)s, %(name_en)s, %(group)s)
ON CONFLICT (code) DO UPDATE SET name_zh = excluded.name_zh, name_en = excluded.name_en,
    group_id = coalesce(excluded.group_id, organisations.group_id)
RETURNING id;

-- name: organisation
SELECT o.id, o.code, o.name_zh, o.name_en, g.code AS group_code, o.closed_at,
       (SELECT count(*) FROM users u WHERE u.organisation_id = o.id AND u.active) AS users
FROM organisations o LEFT JOIN groups g ON g.id = o.group_id WHERE o.code = %(code)s;

-- name: organisations
SELECT o.id, o.code, o.name_zh, o.name_en, g.code AS group_code, o.closed_at,
       (SELECT count(*) FROM users u WHERE u.organisation_id = o.id AND u.active) AS users
FROM organisations o LEFT JOIN groups g ON g.id = o.group_id ORDER BY o.code;

-- name: set_closed
UPDATE organisations SET closed_at = %(at)s WHERE id = %(id)s;

-- name: head
SELECT u.id, u.organisation_id, u.kind, o.group_id
FROM users u JOIN organisations o ON o.id = u.organisation_id WHERE u.login = %(login)s AND u.active;

-- name: add_group_grant
INSERT INTO grants (organisation_id, user_id, kind, role, scope, since, until, granted_by)
SELECT organisation_id, id, kind, %(role)s, 'group', %(since)s, %(until)s, %(by)s FROM users WHERE id = %(user)s;

-- name: end_group_grant
UPDATE grants SET until = %(now)s
WHERE user_id = %(user)s AND role = %(role)s AND scope = 'group' AND (until IS NULL OR until > %(now)s);

-- name: add_service_account
INSERT INTO users (organisation_id, login, name, kind) VALUES (plantroom.organisation(), %(login)s, %(name)s, 'service') RETURNING id;

-- name: roles
-- In force or to come first, then what is over.
SELECT g.id, g.user_id, g.role, g.scope, g.site_id, g.building_id, coalesce(b.name_zh, s.name_zh) AS place_zh,
       coalesce(b.name_en, s.name_en) AS place_en, g.since, g.until, g.granted_by, g.granted_at
FROM grants g LEFT JOIN sites s ON s.id = g.site_id LEFT JOIN spaces b ON b.id = g.building_id
WHERE g.user_id = %(user)s
ORDER BY g.until <= now() NULLS FIRST, g.role, g.granted_at;

-- name: role
SELECT g.id, g.user_id, g.role, g.scope, g.site_id, g.building_id, coalesce(b.name_zh, s.name_zh) AS place_zh,
       coalesce(b.name_en, s.name_en) AS place_en, g.since, g.until, g.granted_by, g.granted_at
FROM grants g LEFT JOIN sites s ON s.id = g.site_id LEFT JOIN spaces b ON b.id = g.building_id
WHERE g.id = %(id)s AND g.user_id = %(user)s;

-- name: end_role
UPDATE grants SET until = %(now)s WHERE id = %(id)s AND (until IS NULL OR until > %(now)s);

-- name: drop_role
DELETE FROM grants WHERE id = %(id)s AND since > %(now)s;

-- name: administrators
-- Those of the organisation that stay, locked: who takes one of them away has the others before him.
SELECT g.id, g.user_id, g.role, g.scope, g.site_id, g.building_id, NULL AS place_zh, NULL AS place_en, g.since, g.until,
       g.granted_by, g.granted_at
FROM grants g JOIN users u ON u.id = g.user_id
WHERE g.role = 'administrator' AND g.scope = 'organisation' AND u.active AND g.until IS NULL
  AND (g.since IS NULL OR g.since <= now())
ORDER BY g.id FOR UPDATE;

-- name: spot
SELECT s.id AS site_id, b.id AS building_id
FROM sites s LEFT JOIN spaces b ON b.site_id = s.id AND b.kind = 'building' AND b.code = %(building)s
WHERE s.code = %(site)s AND (%(building)s::text IS NULL OR b.id IS NOT NULL);

-- name: drop_departures
DELETE FROM departures WHERE expires_at < %(now)s
   OR state_hash IN (SELECT state_hash FROM departures ORDER BY expires_at DESC OFFSET %(most)s);

-- name: depart
INSERT INTO departures (state_hash, browser_hash, provider, nonce, verifier, user_id, invitation_hash, again, back, expires_at)
VALUES (%(state)s, %(browser)s, %(provider)s, %(nonce)s, %(verifier)s, %(user)s, %(invitation)s, %(again)s, %(back)s,
        %(expires_at)s);

-- name: come_back
-- Once: whoever comes a second time with the same answer finds nothing.
DELETE FROM departures
WHERE state_hash = %(state)s AND browser_hash = %(browser)s AND provider = %(provider)s AND expires_at > %(now)s
RETURNING nonce, verifier, user_id, invitation_hash, again, back;

-- name: open_organisation_named
SELECT id FROM organisations WHERE code = %(code)s AND closed_at IS NULL;

-- name: use_identity
UPDATE identities SET last_used_at = %(now)s
WHERE organisation_id = %(organisation)s AND issuer = %(issuer)s AND subject = %(subject)s
RETURNING user_id;

-- name: answer_invitation
-- Used up by the statement that accepts it, like a link by which somebody chooses a password.
UPDATE invitations SET used_at = %(now)s
WHERE token_hash = %(hash)s AND organisation_id = %(organisation)s AND purpose = 'invitation' AND used_at IS NULL
  AND superseded_at IS NULL AND expires_at > %(now)s
RETURNING user_id;

-- name: staff_by_mail
SELECT id FROM users WHERE organisation_id = %(organisation)s AND email = %(email)s AND active AND kind = 'staff';

-- name: link
INSERT INTO identities (organisation_id, user_id, issuer, subject, linked_at, linked_by, last_used_at)
SELECT organisation_id, id, %(issuer)s, %(subject)s, %(now)s, %(by)s, %(now)s
FROM users WHERE id = %(user)s AND organisation_id = %(organisation)s AND kind = 'staff';

-- name: identities
SELECT id, user_id, issuer, linked_at, linked_by, last_used_at FROM identities
WHERE user_id = %(user)s AND organisation_id = %(organisation)s ORDER BY linked_at;

-- name: unlink
DELETE FROM identities WHERE id = %(id)s AND user_id = %(user)s AND organisation_id = %(organisation)s
RETURNING id, user_id, issuer, linked_at, linked_by, last_used_at;

-- name: people
SELECT u.id, u.login, u.name, u.kind, u.active, u.language, u.email, t.code AS tenant, u.created_at,
       greatest(u.seen_at, (SELECT max(s.seen_at) FROM sessions s WHERE s.user_id = u.id AND s.stage = 'full'),
                (SELECT max(a.last_used_at) FROM api_tokens a WHERE a.user_id = u.id)) AS seen_at
FROM users u LEFT JOIN tenants t ON t.id = u.tenant_id
WHERE %(user)s::uuid IS NULL OR u.id = %(user)s
ORDER BY u.kind <> 'staff', u.kind, u.login;

-- name: standings
SELECT u.id AS user_id, c.totp_seed IS NOT NULL AS enrolled,
       c.password_hash IS NOT NULL OR EXISTS (SELECT FROM identities i WHERE i.user_id = u.id) AS opens,
       (SELECT max(i.expires_at) FROM invitations i
        WHERE i.user_id = u.id AND i.used_at IS NULL AND i.superseded_at IS NULL AND i.expires_at > %(now)s) AS invited_until
FROM users u LEFT JOIN credentials c ON c.user_id = u.id
WHERE u.organisation_id = %(organisation)s AND (%(user)s::uuid IS NULL OR u.id = %(user)s);

-- name: roles_of_all
SELECT g.id, g.user_id, g.role, g.scope, g.site_id, g.building_id, coalesce(b.name_zh, s.name_zh) AS place_zh,
       coalesce(b.name_en, s.name_en) AS place_en, g.since, g.until, g.granted_by, g.granted_at
FROM grants g LEFT JOIN sites s ON s.id = g.site_id LEFT JOIN spaces b ON b.id = g.building_id
WHERE g.until IS NULL OR g.until > %(now)s
ORDER BY g.role, g.granted_at;

-- name: set_active
UPDATE users SET active = %(active)s WHERE id = %(id)s AND active <> %(active)s;

-- name: set_name
UPDATE users SET name = %(name)s, language = %(language)s WHERE id = %(id)s;

-- name: siblings
SELECT o.id, o.code, o.name_zh, o.name_en FROM organisations o, organisations h
WHERE h.id = %(home)s AND o.closed_at IS NULL AND (o.id = h.id OR %(over_group)s AND o.group_id = h.group_id)
ORDER BY o.id <> h.id, o.code;

-- name: act_in
UPDATE sessions SET token_hash = %(new)s, csrf = %(csrf)s, acting_id = %(acting)s, site_id = NULL WHERE token_hash = %(old)s;

-- name: look_at
UPDATE sessions SET site_id = %(site)s WHERE id = %(session)s;
