-- name: account
SELECT id, organisation_id, login, password_hash, active, failures, locked_until FROM users WHERE login = %(login)s;

-- name: hold_account
-- The account once more, locked: guesses that come at the same time are counted one after the other.
SELECT id, organisation_id, login, password_hash, active, failures, locked_until FROM users WHERE id = %(id)s FOR UPDATE;

-- name: note_failure
UPDATE users SET failures = failures + 1, locked_until = %(locked_until)s WHERE id = %(id)s;

-- name: forget_failures
UPDATE users SET failures = 0, locked_until = NULL WHERE id = %(id)s AND failures > 0;

-- name: open_session
INSERT INTO sessions (token_hash, organisation_id, user_id, csrf, created_at, seen_at, expires_at, address)
VALUES (%(token_hash)s, %(organisation)s, %(user)s, %(csrf)s, %(now)s, %(now)s, %(expires_at)s, %(address)s);

-- name: session
SELECT u.id AS user_id, o.id AS organisation_id, u.organisation_id AS home_id, u.login, u.name, u.kind, u.tenant_id,
       u.language, s.csrf, s.expires_at
FROM sessions s
JOIN users u ON u.id = s.user_id
JOIN organisations h ON h.id = u.organisation_id
JOIN organisations o ON o.id = coalesce(s.acting_id, h.id)
WHERE s.token_hash = %(token_hash)s AND u.active AND s.expires_at > %(now)s AND s.seen_at > %(idle_since)s
  AND h.closed_at IS NULL AND o.closed_at IS NULL AND (o.id = h.id OR o.group_id = h.group_id);

-- name: grants
-- What a user holds now; elsewhere in the group only what he holds over the group.
SELECT role, scope, site_id, building_id FROM grants
WHERE user_id = %(user)s AND (since IS NULL OR since <= %(now)s) AND (until IS NULL OR until > %(now)s) AND (%(home)s OR scope = 'group')
ORDER BY role, scope, site_id, building_id;

-- name: touch
UPDATE sessions SET seen_at = %(now)s WHERE token_hash = %(token_hash)s AND seen_at < %(stale)s;

-- name: close_session
DELETE FROM sessions s USING users u WHERE s.token_hash = %(token_hash)s AND u.id = s.user_id
RETURNING u.id AS user_id, u.organisation_id, u.login;

-- name: drop_expired
DELETE FROM sessions WHERE expires_at < %(now)s OR seen_at < %(idle_since)s;

-- name: add_user
INSERT INTO users (organisation_id, login, name, kind, tenant_id, password_hash, language, skills, zones)
VALUES (plantroom.organisation(), %(login)s, %(name)s, %(kind)s, %(tenant_id)s, %(password_hash)s, %(language)s,
        %(skills)s, %(zones)s)
RETURNING id;

-- name: add_grant
INSERT INTO grants (organisation_id, user_id, kind, role, scope, site_id, building_id, since, until, granted_by)
SELECT u.organisation_id, u.id, u.kind, %(role)s,
       CASE WHEN %(building)s::uuid IS NOT NULL THEN 'building' WHEN %(site)s::uuid IS NOT NULL THEN 'site' ELSE 'organisation' END,
       coalesce(%(site)s, (SELECT site_id FROM spaces WHERE id = %(building)s AND kind = 'building')), %(building)s,
       %(since)s, %(until)s, %(by)s
FROM users u WHERE u.id = %(user)s;

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
INSERT INTO users (organisation_id, login, name, kind, password_hash)
VALUES (plantroom.organisation(), %(login)s, %(name)s, 'service', '') -- no password has this hash
RETURNING id;

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
WHERE g.id = %(id)s;

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
