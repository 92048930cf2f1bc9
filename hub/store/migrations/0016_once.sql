-- What a policy asks about the transaction is asked once for each query instead of once for each row, and in a form that
-- the planner understands.  Written out, "plantroom.tenant() IS NULL" is to the planner a condition that one row in two
-- hundred meets; after three such policies it expects one row where there are thousands, and joins them one by one: the
-- board of 2,000 points took more than 20 s.  A subquery is computed once, and of "<> 0" the planner believes that it
-- nearly always holds, which for the landlord's own people is the truth.
CREATE FUNCTION plantroom.once(rule text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF rule ~* 'SELECT \(*plantroom\.' THEN
        RETURN rule; -- it is already
    END IF;
    rule := regexp_replace(rule, 'plantroom\.(everywhere|insider)\(\)', '((SELECT plantroom.\1()::int) <> 0)', 'g');
    rule := regexp_replace(rule, 'plantroom\.covers\(([^(),]+), ([^(),]+)\)',
                           '((SELECT plantroom.everywhere()::int) <> 0 OR (SELECT plantroom.places()) && ARRAY[\1, \2])', 'g');
    rule := regexp_replace(rule, 'ANY \(plantroom\.own\((\S+)\)\)', 'ANY ((SELECT plantroom.own(\1))::uuid[])', 'g');
    RETURN regexp_replace(rule, '= plantroom\.(organisation|tenant|contractor)\(\)', '= (SELECT plantroom.\1())', 'g');
END
$$;

-- What somebody from outside may see by way of his own jobs or papers, in a function instead of in the policies: they
-- reached through each other into 168 plans within one, which took longer to make than to carry out, for people whom they
-- do not concern.  It is called only where a policy asks for it, and sees what its caller sees.
CREATE FUNCTION plantroom.own(what text) RETURNS uuid[] LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = public AS $$
BEGIN
    IF plantroom.contractor() IS NOT NULL THEN
        RETURN CASE what
            WHEN 'orders' THEN array(SELECT id FROM work_orders)
            WHEN 'devices' THEN array(SELECT device_id FROM work_orders)
            WHEN 'spaces' THEN array(SELECT space_id FROM work_orders UNION SELECT building_id FROM work_orders)
            WHEN 'sites' THEN array(SELECT site_id FROM work_orders) END;
    ELSIF plantroom.tenant() IS NOT NULL THEN
        RETURN CASE what
            WHEN 'leases' THEN array(SELECT id FROM leases)
            WHEN 'devices' THEN array(SELECT DISTINCT device_id FROM charges)
            WHEN 'units' THEN array(SELECT space_id FROM lease_units) -- of which he sees those that are let to him
            WHEN 'spaces' THEN array(SELECT space_id FROM lease_units)
            WHEN 'sites' THEN array(SELECT site_id FROM leases) END;
    END IF;
    RETURN NULL;
END
$$;

-- One policy for people from outside, as the tables of migration 0008 and later have it, in place of one for tenants and
-- one for contractors.
DO $$
DECLARE
    closed record;
    rule text;
BEGIN
    FOR closed IN
        SELECT tablename AS target, array_agg(policyname) AS policies, min(cmd) AS command FROM pg_policies
        WHERE schemaname = 'public' AND policyname IN ('landlord', 'contractors', 'own_papers') GROUP BY 1
    LOOP
        FOR i IN 1 .. array_length(closed.policies, 1) LOOP
            EXECUTE format('DROP POLICY %I ON %I', closed.policies[i], closed.target);
        END LOOP;
        rule := CASE
            WHEN closed.target IN ('charges', 'invoices', 'leases') THEN 'tenant_id = plantroom.tenant()'
            WHEN closed.target = 'tenants' THEN 'id = plantroom.tenant()'
            WHEN closed.target = 'users' THEN 'id = plantroom.contractor() OR tenant_id = plantroom.tenant()'
            WHEN closed.target = 'lease_units' THEN 'lease_id = ANY (plantroom.own(''leases''))'
            WHEN closed.target = 'device_units' THEN 'space_id = ANY (plantroom.own(''units''))'
            WHEN closed.target IN ('devices', 'spaces', 'sites') THEN format('id = ANY (plantroom.own(%L))', closed.target)
            WHEN closed.target = 'work_orders'
                THEN 'assignee_id = plantroom.contractor() AND state NOT IN (''verified'', ''closed'', ''stopped'')'
            WHEN closed.target = 'work_order_events' THEN 'order_id = ANY (plantroom.own(''orders''))' END;
        EXECUTE format('CREATE POLICY outsiders ON %I AS RESTRICTIVE FOR %s TO plantroom_app USING (%s)', closed.target,
                       closed.command, plantroom.once(concat_ws(' OR ', 'plantroom.insider()', rule)));
    END LOOP;
END
$$;
DROP POLICY landlord_reads ON points;
DROP POLICY contractors_read ON points;
CREATE POLICY outsiders_read ON points AS RESTRICTIVE TO plantroom_reader USING (plantroom.insider());

DO $$
DECLARE
    policy record;
BEGIN
    FOR policy IN SELECT tablename, policyname, qual FROM pg_policies WHERE schemaname = 'public' AND qual <> plantroom.once(qual) LOOP
        EXECUTE format('ALTER POLICY %I ON %I USING (%s)', policy.policyname, policy.tablename, plantroom.once(policy.qual));
    END LOOP;
END
$$;

-- The same for the tables that come; ``plantroom.confine`` goes, ``admit`` says whose a row is.
DROP PROCEDURE plantroom.confine;

CREATE OR REPLACE PROCEDURE plantroom.place(target regclass, rule text DEFAULT NULL) LANGUAGE plpgsql AS $$
DECLARE
    found text[] := array(SELECT attname FROM pg_attribute WHERE attrelid = target AND attnum > 0 AND NOT attisdropped);
BEGIN
    IF rule IS NULL AND 'site_id' = ANY(found) THEN
        rule := CASE WHEN 'building_id' = ANY(found) THEN 'plantroom.covers(site_id, building_id)'
                     ELSE 'plantroom.covers(site_id, NULL)' END;
    END IF;
    IF rule IS NOT NULL THEN
        EXECUTE format('CREATE POLICY place ON %s AS RESTRICTIVE TO plantroom_app USING (%s)', target, plantroom.once(rule));
    END IF;
END
$$;

CREATE OR REPLACE PROCEDURE plantroom.admit(target regclass, rule text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DROP POLICY outsiders ON %s', target);
    EXECUTE format('CREATE POLICY outsiders ON %s AS RESTRICTIVE TO plantroom_app USING (%s)', target,
                   plantroom.once(format('plantroom.insider() OR %s', rule)));
END
$$;

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
END
$$;
