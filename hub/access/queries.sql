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
