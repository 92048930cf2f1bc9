-- Organisations, the people in them, their sessions, and the record of what was done.
CREATE TABLE organisations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    code text NOT NULL UNIQUE,
    name_zh text NOT NULL,
    name_en text NOT NULL
);
ALTER TABLE organisations ENABLE ROW LEVEL SECURITY;
ALTER TABLE organisations FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON organisations TO plantroom_app USING (id = plantroom.organisation());
CREATE POLICY every ON organisations FOR SELECT TO plantroom_ingest, plantroom_door, plantroom_sealer USING (true);
CREATE POLICY owner ON organisations TO CURRENT_USER USING (true) WITH CHECK (true); -- who migrates also opens organisations
GRANT SELECT ON organisations TO plantroom_app, plantroom_ingest, plantroom_door, plantroom_sealer;

CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations,
    login text NOT NULL CHECK (login = lower(login) AND length(login) BETWEEN 2 AND 64),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    role text NOT NULL CHECK (role IN ('administrator', 'engineer', 'technician', 'billing', 'tenant')),
    tenant_id uuid, -- set exactly for the role tenant; the foreign key comes with the tenants
    password_hash text NOT NULL,
    language text NOT NULL DEFAULT 'zh' CHECK (language IN ('zh', 'en')),
    skills text[] NOT NULL DEFAULT '{}',
    zones text[] NOT NULL DEFAULT '{}',
    active boolean NOT NULL DEFAULT true,
    failures integer NOT NULL DEFAULT 0,
    locked_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (login),
    CHECK ((role = 'tenant') = (tenant_id IS NOT NULL))
);
CALL plantroom.protect('users', 'SELECT, INSERT, UPDATE');
CREATE POLICY door ON users TO plantroom_door USING (true);
GRANT SELECT, UPDATE (failures, locked_until) ON users TO plantroom_door;

CREATE TABLE sessions (
    token_hash bytea PRIMARY KEY, -- sha256 of the cookie: a stolen table opens nothing
    organisation_id uuid NOT NULL REFERENCES organisations,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    csrf text NOT NULL,
    created_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    address text NOT NULL DEFAULT ''
);
CREATE INDEX sessions_user ON sessions (user_id);
CALL plantroom.protect('sessions', 'SELECT, DELETE');
CREATE POLICY door ON sessions TO plantroom_door USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE (seen_at), DELETE ON sessions TO plantroom_door;

CREATE TABLE audit_entries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES organisations,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL, -- login, or the name of the program
    action text NOT NULL,
    entity text NOT NULL,
    entity_id text NOT NULL,
    details jsonb NOT NULL DEFAULT '{}',
    sealed_number bigint UNIQUE, -- place in the chain; the chain is closed shortly after the commit
    hash bytea
);
CREATE INDEX audit_entity ON audit_entries (organisation_id, entity, entity_id);
CREATE INDEX audit_unsealed ON audit_entries (id) WHERE sealed_number IS NULL;
CALL plantroom.protect('audit_entries', 'SELECT');
CREATE POLICY programs ON audit_entries FOR INSERT TO plantroom_door, plantroom_ingest WITH CHECK (true);
-- Who writes an act chooses neither its time nor its place in the chain.
GRANT INSERT (organisation_id, actor, action, entity, entity_id, details) ON audit_entries
    TO plantroom_app, plantroom_door, plantroom_ingest;
CREATE POLICY sealer ON audit_entries TO plantroom_sealer USING (true);
GRANT SELECT, UPDATE (sealed_number, hash) ON audit_entries TO plantroom_sealer;

CREATE FUNCTION plantroom.seal_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.sealed_number IS NOT NULL
       OR to_jsonb(OLD) - 'sealed_number' - 'hash' <> to_jsonb(NEW) - 'sealed_number' - 'hash' THEN
        RAISE EXCEPTION 'audit entries are written once for ever' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER sealed BEFORE UPDATE OR DELETE ON audit_entries FOR EACH ROW EXECUTE FUNCTION plantroom.seal_once();
CREATE TRIGGER kept BEFORE TRUNCATE ON audit_entries FOR EACH STATEMENT EXECUTE FUNCTION plantroom.refuse_change();
