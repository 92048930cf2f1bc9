-- Care of the data: who may read all of it for a backup, and what the programs say of their own work.

-- plantroom_backup reads every row of every table and writes none.  Only the schema's owner may take it: the programs'
-- login cannot.  Policies are forced on the owner too, so an owner who is no superuser could not see what he backs up.
DO $$
BEGIN
    CREATE ROLE plantroom_backup NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;
GRANT plantroom_backup TO CURRENT_USER;
GRANT USAGE ON SCHEMA public, plantroom TO plantroom_backup;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO plantroom_backup;

CREATE PROCEDURE plantroom.back_up(target regclass) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('GRANT SELECT ON %s TO plantroom_backup', target);
    IF (SELECT relrowsecurity FROM pg_class WHERE oid = target) THEN
        EXECUTE format('CREATE POLICY backup ON %s FOR SELECT TO plantroom_backup USING (true)', target);
    END IF;
END
$$;

DO $$
DECLARE
    target regclass;
BEGIN
    FOR target IN
        SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    LOOP
        CALL plantroom.back_up(target);
    END LOOP;
END
$$;

-- The same for the tables that come.
CREATE OR REPLACE PROCEDURE plantroom.protect(target regclass, rights text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
    EXECUTE format('CREATE POLICY organisation ON %s TO plantroom_app USING (%s) WITH CHECK (organisation_id = plantroom.organisation())',
                   target, plantroom.once('organisation_id = plantroom.organisation()'));
    CALL plantroom.place(target);
    EXECUTE format('CREATE POLICY outsiders ON %s AS RESTRICTIVE TO plantroom_app USING (%s)', target,
                   plantroom.once('plantroom.insider()'));
    EXECUTE format('GRANT %s ON %s TO plantroom_app', rights, target);
    CALL plantroom.back_up(target);
END
$$;

-- What the platform did last, one row for each thing that it does: every job, the backup.  It is nobody's data, hence no
-- organisation; the page of the platform's health and the metrics read it.
CREATE TABLE platform_marks (
    kind text NOT NULL CHECK (kind IN ('job', 'backup', 'state')),
    name text NOT NULL,
    tried_at timestamptz NOT NULL,
    succeeded_at timestamptz, -- NULL: never yet
    took_s double precision NOT NULL DEFAULT 0, -- of the last success
    failures bigint NOT NULL DEFAULT 0, -- since the last success
    said text NOT NULL DEFAULT '', -- why it failed, or what it made
    value double precision, -- of a state: what was measured, NULL where there is nothing to measure
    PRIMARY KEY (kind, name)
);
ALTER TABLE platform_marks ENABLE ROW LEVEL SECURITY;
ALTER TABLE platform_marks FORCE ROW LEVEL SECURITY;
CREATE POLICY health ON platform_marks FOR SELECT TO plantroom_app USING (true);
CREATE POLICY outsiders ON platform_marks AS RESTRICTIVE FOR SELECT TO plantroom_app USING ((SELECT plantroom.insider()::int) <> 0);
CREATE POLICY programs ON platform_marks TO plantroom_ingest USING (true) WITH CHECK (true);
GRANT SELECT ON platform_marks TO plantroom_app;
GRANT SELECT, INSERT, UPDATE ON platform_marks TO plantroom_ingest;
CALL plantroom.back_up('platform_marks');

-- How far the slowest streaming replica is behind, in seconds; NULL: there is none, or the owner may not see it (pg_monitor).
CREATE FUNCTION plantroom.replica_behind_s() RETURNS double precision LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    RETURN (SELECT max(extract(epoch FROM coalesce(replay_lag, interval '0'))) FROM pg_stat_replication WHERE state = 'streaming');
REVOKE ALL ON FUNCTION plantroom.replica_behind_s FROM PUBLIC;
GRANT EXECUTE ON FUNCTION plantroom.replica_behind_s TO plantroom_ingest;

-- When the certificates of all gateways end, for the metrics.
CREATE POLICY ends ON gateway_certificates FOR SELECT TO plantroom_ingest USING (true);
GRANT SELECT (gateway_id, not_after, revoked_at) ON gateway_certificates TO plantroom_ingest;
