-- Who may do what. People's and jobs' work runs as plantroom_app, which cannot bypass row-level security; readings are
-- written by plantroom_ingest; plantroom_reader owns the views through which readings are seen; plantroom_door finds an
-- account at sign-in, before its organisation is known; plantroom_sealer closes the chain of audit hashes.
-- The programs log in as plantroom_hub, which has no right of its own and takes one of these roles per transaction.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['plantroom_app', 'plantroom_ingest', 'plantroom_reader', 'plantroom_door', 'plantroom_sealer'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE', name);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END LOOP;
    BEGIN
        CREATE ROLE plantroom_hub LOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
    GRANT plantroom_app, plantroom_ingest, plantroom_door, plantroom_sealer TO plantroom_hub;
END
$$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO plantroom_app, plantroom_ingest, plantroom_reader, plantroom_door, plantroom_sealer, plantroom_hub;

CREATE SCHEMA plantroom;
GRANT USAGE ON SCHEMA plantroom TO plantroom_app, plantroom_ingest, plantroom_reader, plantroom_door, plantroom_sealer;

-- The organisation in whose name this transaction runs; NULL (nothing is visible) where none was set.
CREATE FUNCTION plantroom.organisation() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('plantroom.organisation', true), '')::uuid;

-- The tenant to whose own papers this transaction is confined; NULL for the landlord's people.
CREATE FUNCTION plantroom.tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('plantroom.tenant', true), '')::uuid;

-- Put a table under its organisation: policy for the application role and the rights named.
CREATE PROCEDURE plantroom.protect(target regclass, rights text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
    EXECUTE format(
        'CREATE POLICY organisation ON %s TO plantroom_app
         USING (organisation_id = plantroom.organisation()) WITH CHECK (organisation_id = plantroom.organisation())', target);
    EXECUTE format('GRANT %s ON %s TO plantroom_app', rights, target);
END
$$;

-- Confine a tenant's sign-in to the rows that carry its tenant_id.
CREATE PROCEDURE plantroom.confine(target regclass, tenant_column text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'CREATE POLICY own_papers ON %s AS RESTRICTIVE TO plantroom_app
         USING (plantroom.tenant() IS NULL OR %I = plantroom.tenant())', target, tenant_column);
END
$$;

CREATE FUNCTION plantroom.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is written once for ever; correct it by adding', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;
