-- What people prove themselves with, and how they come in.  Only the door reads or writes it: whoever gets hold of the
-- application's role finds no hash, no seed and no code.

-- Put a table out of everybody's reach but the door's.
CREATE PROCEDURE plantroom.behind_the_door(target regclass, rights text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
    EXECUTE format('CREATE POLICY door ON %s TO plantroom_door USING (true) WITH CHECK (true)', target);
    EXECUTE format('GRANT %s ON %s TO plantroom_door', rights, target);
END
$$;

CREATE TABLE credentials (
    user_id uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES organisations,
    password_hash text, -- argon2id; NULL: none, so nobody signs in with one
    password_set_at timestamptz,
    totp_seed bytea, -- sealed by hub/access/vault.py, the row is the user; NULL: no second factor
    totp_since timestamptz,
    totp_step bigint NOT NULL DEFAULT 0, -- the last 30 s whose code was used: no code counts twice
    FOREIGN KEY (organisation_id, user_id) REFERENCES users (organisation_id, id) ON DELETE CASCADE,
    CHECK ((password_hash IS NULL) = (password_set_at IS NULL)),
    CHECK ((totp_seed IS NULL) = (totp_since IS NULL))
);
ALTER TABLE users NO FORCE ROW LEVEL SECURITY;
INSERT INTO credentials (user_id, organisation_id, password_hash, password_set_at)
    SELECT id, organisation_id, password_hash, created_at FROM users;
UPDATE users SET name = normalize(regexp_replace(name, '[\u0001-\u001f\u007f-\u009f]', ' ', 'g'), NFC);
ALTER TABLE users FORCE ROW LEVEL SECURITY;
ALTER TABLE users DROP COLUMN password_hash, DROP COLUMN failures, DROP COLUMN locked_until;
CALL plantroom.behind_the_door('credentials', 'SELECT, INSERT, UPDATE, DELETE');

-- Names that are not mistaken for others: logins in plain ASCII; what screens show is composed (NFC) and holds neither
-- controls nor what is invisible or turns the direction of writing.
ALTER TABLE users
    DROP CONSTRAINT users_login_check,
    ADD CONSTRAINT users_login_check CHECK (login ~ '^[a-z0-9][a-z0-9._-]{1,63}$'),
    ADD CONSTRAINT users_name_shown CHECK (
        name IS NFC NORMALIZED AND btrim(name) = name
        AND name !~ '[\u0001-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]'),
    ADD COLUMN email text CHECK (
        length(email) <= 254
        AND email ~ '^[a-z0-9.!#$%&''*+/=?^_`{|}~-]{1,64}@([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$'),
    ADD UNIQUE (organisation_id, email);
GRANT UPDATE (email) ON users TO plantroom_door;

CREATE TABLE password_history ( -- passwords that were used before
    organisation_id uuid NOT NULL REFERENCES organisations,
    user_id uuid NOT NULL,
    replaced_at timestamptz NOT NULL,
    password_hash text NOT NULL,
    FOREIGN KEY (organisation_id, user_id) REFERENCES users (organisation_id, id) ON DELETE CASCADE
);
CREATE INDEX password_history_user ON password_history (user_id, replaced_at DESC);
CALL plantroom.behind_the_door('password_history', 'SELECT, INSERT, DELETE');

CREATE TABLE recovery_codes ( -- instead of the telephone, each once
    organisation_id uuid NOT NULL REFERENCES organisations,
    user_id uuid NOT NULL,
    code_hash bytea NOT NULL CHECK (length(code_hash) = 32), -- sha256 of user and code; a code has 120 random bits
    used_at timestamptz,
    PRIMARY KEY (user_id, code_hash),
    FOREIGN KEY (organisation_id, user_id) REFERENCES users (organisation_id, id) ON DELETE CASCADE
);
CALL plantroom.behind_the_door('recovery_codes', 'SELECT, INSERT, UPDATE (used_at), DELETE');

CREATE TABLE invitations ( -- links by which somebody chooses a password: the first one, or another when it is forgotten
    token_hash bytea PRIMARY KEY CHECK (length(token_hash) = 32), -- sha256 of 256 random bits
    organisation_id uuid NOT NULL REFERENCES organisations,
    user_id uuid NOT NULL,
    purpose text NOT NULL CHECK (purpose IN ('invitation', 'reset')),
    made_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    superseded_at timestamptz, -- a newer one was made
    CHECK (expires_at > made_at AND expires_at <= made_at + CASE purpose WHEN 'reset' THEN interval '10 minutes' ELSE interval '72 hours' END),
    FOREIGN KEY (organisation_id, user_id) REFERENCES users (organisation_id, id) ON DELETE CASCADE
);
CREATE INDEX invitations_user ON invitations (user_id, made_at);
CREATE UNIQUE INDEX invitations_open ON invitations (user_id) WHERE used_at IS NULL AND superseded_at IS NULL;
CALL plantroom.behind_the_door('invitations', 'SELECT, INSERT, UPDATE (used_at, superseded_at), DELETE');

CREATE TABLE throttles ( -- how often somebody guessed wrong of late: at an account from a place, at an account, from an address
    key bytea PRIMARY KEY CHECK (length(key) = 32), -- sha256 of kind and whom: also for names that nobody has
    failures integer NOT NULL CHECK (failures > 0),
    last_at timestamptz NOT NULL,
    held_until timestamptz NOT NULL
);
CREATE INDEX throttles_age ON throttles (last_at);
CALL plantroom.behind_the_door('throttles', 'SELECT, INSERT, UPDATE, DELETE');

-- Sessions know how far somebody has come, and from where.  Those that are open end: nobody knows what opened them.
ALTER TABLE sessions NO FORCE ROW LEVEL SECURITY;
DELETE FROM sessions;
ALTER TABLE sessions FORCE ROW LEVEL SECURITY;
ALTER TABLE sessions
    ADD COLUMN id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE, -- by which a list names it
    ADD COLUMN stage text NOT NULL DEFAULT 'full' CHECK (stage IN ('password', 'full')), -- 'password': a code is still to come
    ADD COLUMN factors text[] NOT NULL DEFAULT '{password}'
        CHECK (factors <@ ARRAY['password', 'totp', 'recovery', 'oidc', 'oidc-mfa'] AND cardinality(factors) > 0),
    ADD COLUMN authenticated_at timestamptz NOT NULL DEFAULT now(), -- when he last proved who he is, with all his factors
    ADD COLUMN user_agent text NOT NULL DEFAULT '' CHECK (length(user_agent) <= 120);
GRANT UPDATE (token_hash, csrf, stage, factors, authenticated_at, expires_at) ON sessions TO plantroom_door;

-- Who is put out, or may do less than before, learns it at once: open pages hear of it over the live channel.
CREATE FUNCTION plantroom.announce_access() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed jsonb := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END;
BEGIN
    PERFORM pg_notify('plantroom_live', json_build_object(
        'kind', 'access',
        'id', CASE TG_TABLE_NAME WHEN 'users' THEN changed->>'id' WHEN 'organisations' THEN '' ELSE changed->>'user_id' END,
        'organisation', CASE TG_TABLE_NAME WHEN 'organisations' THEN changed->>'id' ELSE changed->>'organisation_id' END)::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER announced AFTER DELETE OR UPDATE OF stage, acting_id, expires_at ON sessions
    FOR EACH ROW EXECUTE FUNCTION plantroom.announce_access();
CREATE TRIGGER announced AFTER INSERT OR UPDATE OR DELETE ON grants
    FOR EACH ROW EXECUTE FUNCTION plantroom.announce_access();
CREATE TRIGGER announced AFTER DELETE OR UPDATE OF active, kind, tenant_id, organisation_id ON users
    FOR EACH ROW EXECUTE FUNCTION plantroom.announce_access();
CREATE TRIGGER announced AFTER UPDATE OF closed_at, group_id ON organisations
    FOR EACH ROW EXECUTE FUNCTION plantroom.announce_access();
