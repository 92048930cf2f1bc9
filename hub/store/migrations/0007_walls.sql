-- Walls: between organisations in every reference, and around what a tenant may see.

-- A foreign key is checked without row-level security: it must itself carry the organisation, or one organisation could
-- refer to rows of another.  Every reference between two tables of an organisation is written anew that way.
DO $$
DECLARE
    link record;
BEGIN
    FOR link IN
        SELECT DISTINCT c.confrelid::regclass AS target
        FROM pg_constraint c
        JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attname = 'organisation_id'
        WHERE c.contype = 'f' AND c.connamespace = 'public'::regnamespace AND cardinality(c.conkey) = 1
    LOOP
        EXECUTE format('ALTER TABLE %s ADD UNIQUE (organisation_id, id)', link.target);
    END LOOP;
    FOR link IN
        SELECT c.conname AS name, c.conrelid::regclass AS source, c.confrelid::regclass AS target, a.attname AS reference,
               CASE c.confdeltype WHEN 'c' THEN 'CASCADE' ELSE 'NO ACTION' END AS deletion
        FROM pg_constraint c
        JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
        JOIN pg_attribute o ON o.attrelid = c.confrelid AND o.attname = 'organisation_id'
        WHERE c.contype = 'f' AND c.connamespace = 'public'::regnamespace AND cardinality(c.conkey) = 1
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', link.source, link.name);
        EXECUTE format(
            'ALTER TABLE %s ADD CONSTRAINT %I FOREIGN KEY (organisation_id, %I) REFERENCES %s (organisation_id, id) ON DELETE %s',
            link.source, link.name, link.reference, link.target, link.deletion);
    END LOOP;
END
$$;
ALTER TABLE posting_lines ADD FOREIGN KEY (organisation_id) REFERENCES organisations;

-- A tenant sees his own papers and what they name; the landlord's business is not there for him.
DO $$
DECLARE
    hidden text;
BEGIN
    FOREACH hidden IN ARRAY ARRAY[
        'sessions', 'gateways', 'points', 'quarantine', 'alarm_states', 'alarms', 'alarm_events', 'counters',
        'work_orders', 'work_order_alarms', 'work_order_events', 'parked_leases', 'accounts', 'postings', 'posting_lines'
    ] LOOP
        EXECUTE format('CREATE POLICY landlord ON %I AS RESTRICTIVE TO plantroom_app USING (plantroom.tenant() IS NULL)', hidden);
    END LOOP;
END
$$;
CREATE POLICY landlord_reads ON points AS RESTRICTIVE TO plantroom_reader USING (plantroom.tenant() IS NULL);
CREATE POLICY landlord ON audit_entries AS RESTRICTIVE FOR SELECT TO plantroom_app USING (plantroom.tenant() IS NULL);
CALL plantroom.confine('users', 'tenant_id');
CREATE POLICY own_papers ON lease_units AS RESTRICTIVE TO plantroom_app
    USING (plantroom.tenant() IS NULL OR EXISTS (SELECT FROM leases l WHERE l.id = lease_id));
CREATE POLICY own_papers ON spaces AS RESTRICTIVE TO plantroom_app
    USING (plantroom.tenant() IS NULL OR EXISTS (SELECT FROM lease_units u WHERE u.space_id = spaces.id));
CREATE POLICY own_papers ON device_units AS RESTRICTIVE TO plantroom_app
    USING (plantroom.tenant() IS NULL OR EXISTS (SELECT FROM lease_units u WHERE u.space_id = device_units.space_id));
CREATE POLICY own_papers ON devices AS RESTRICTIVE TO plantroom_app -- the meters that stand on his bills
    USING (plantroom.tenant() IS NULL OR EXISTS (SELECT FROM charges c WHERE c.device_id = devices.id));
