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

-- name: visitor
SELECT u.id AS user_id, u.organisation_id, u.login, u.name, u.role, u.tenant_id, u.language, s.csrf, s.expires_at
FROM sessions s JOIN users u ON u.id = s.user_id
WHERE s.token_hash = %(token_hash)s AND u.active AND s.expires_at > %(now)s AND s.seen_at > %(idle_since)s;

-- name: touch
UPDATE sessions SET seen_at = %(now)s WHERE token_hash = %(token_hash)s AND seen_at < %(stale)s;

-- name: close_session
DELETE FROM sessions s USING users u WHERE s.token_hash = %(token_hash)s AND u.id = s.user_id
RETURNING u.id AS user_id, u.organisation_id, u.login;

-- name: drop_expired
DELETE FROM sessions WHERE expires_at < %(now)s OR seen_at < %(idle_since)s;

-- name: add_user
INSERT INTO users (organisation_id, login, name, role, tenant_id, password_hash, language, skills, zones)
VALUES (plantroom.organisation(), %(login)s, %(name)s, %(role)s, %(tenant_id)s, %(password_hash)s, %(language)s,
        %(skills)s, %(zones)s)
RETURNING id;

-- name: set_language
UPDATE users SET language = %(language)s WHERE id = %(id)s;

-- name: users
SELECT id, login, name, role, language, skills, zones, active FROM users ORDER BY role, login;
