-- Who may do what, where: groups of organisations, roles at scopes, and which places a transaction may see.

CREATE TABLE groups ( -- organisations of one owner
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    code text NOT NULL UNIQUE,
    name_zh text NOT NULL,
    name_en text NOT NULL
);
ALTER TABLE organisations
    ADD COLUMN group_id uuid REFERENCES groups,
    ADD COLUMN closed_at timestamptz; -- nobody signs in to a closed organisation; its records stay
ALTER TABLE groups ENABLE ROW LEVEL SECURITY;
ALTER TABLE groups FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON groups TO plantroom_app USING (id IN (SELECT group_id FROM organisations));
CREATE POLICY every ON groups FOR SELECT TO plantroom_door USING (true);
CREATE POLICY owner ON groups TO CURRENT_USER USING (true) WITH CHECK (true);
GRANT SELECT ON groups TO plantroom_app, plantroom_door;

-- Whether the transaction sees the whole organisation; where nothing was said, it sees no place at all.
CREATE FUNCTION plantroom.everywhere() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
    RETURN current_setting('plantroom.places', true) IS NOT DISTINCT FROM '*';

-- The sites and buildings that the transaction is confined to.
CREATE FUNCTION plantroom.places() RETURNS uuid[] LANGUAGE sql STABLE PARALLEL SAFE
    RETURN string_to_array(nullif(nullif(current_setting('plantroom.places', true), '*'), ''), ',')::uuid[];

-- Whether a row of this site and building (NULL: of the site as such) is inside the transaction's places.
CREATE FUNCTION plantroom.covers(site uuid, building uuid) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
    RETURN plantroom.everywhere() OR site = ANY(plantroom.places()) OR building = ANY(plantroom.places());

-- Whether the transaction has the clearance ``what`` there: a right on a field or a zone that few people have.
CREATE FUNCTION plantroom.cleared(what text, site uuid, building uuid) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
    RETURN current_setting('plantroom.clear_' || what, true) = '*'
        OR site = ANY(string_to_array(nullif(current_setting('plantroom.clear_' || what, true), '*'), ',')::uuid[])
        OR building = ANY(string_to_array(nullif(current_setting('plantroom.clear_' || what, true), '*'), ',')::uuid[]);

-- The contractor to whose own jobs this transaction is confined; NULL for the landlord's people.
CREATE FUNCTION plantroom.contractor() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('plantroom.contractor', true), '')::uuid;

-- Whether the landlord's own people or programs are at work, neither a tenant nor a contractor.
CREATE FUNCTION plantroom.insider() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
    RETURN plantroom.tenant() IS NULL AND plantroom.contractor() IS NULL;

-- Keep a table's rows to the transaction's places: by the columns that it has, or by ``rule``.
CREATE PROCEDURE plantroom.place(target regclass, rule text DEFAULT NULL) LANGUAGE plpgsql AS $$
DECLARE
    found text[] := array(SELECT attname FROM pg_attribute WHERE attrelid = target AND attnum > 0 AND NOT attisdropped);
BEGIN
    IF rule IS NULL AND 'site_id' = ANY(found) THEN
        rule := CASE WHEN 'building_id' = ANY(found) THEN 'plantroom.covers(site_id, building_id)'
                     ELSE 'plantroom.covers(site_id, NULL)' END;
    END IF;
    IF rule IS NOT NULL THEN
        EXECUTE format('CREATE POLICY place ON %s AS RESTRICTIVE TO plantroom_app USING (%s)', target, rule);
    END IF;
END
$$;

-- Let people from outside see those rows of a table for which ``rule`` holds, instead of none.
CREATE PROCEDURE plantroom.admit(target regclass, rule text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DROP POLICY outsiders ON %s', target);
    EXECUTE format('CREATE POLICY outsiders ON %s AS RESTRICTIVE TO plantroom_app USING (plantroom.insider() OR %s)', target, rule);
END
$$;

-- From here on a new table is closed by default: to other organisations, to other places (by its columns), to tenants and
-- contractors.  ``plantroom.place`` and ``plantroom.admit`` say otherwise.
CREATE OR REPLACE PROCEDURE plantroom.protect(target regclass, rights text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
    EXECUTE format(
        'CREATE POLICY organisation ON %s TO plantroom_app
         USING (organisation_id = plantroom.organisation()) WITH CHECK (organisation_id = plantroom.organisation())', target);
    CALL plantroom.place(target);
    EXECUTE format('CREATE POLICY outsiders ON %s AS RESTRICTIVE TO plantroom_app USING (plantroom.insider())', target);
    EXECUTE format('GRANT %s ON %s TO plantroom_app', rights, target);
END
$$;

-- Roles at scopes.
ALTER TABLE spaces ADD UNIQUE (organisation_id, site_id, id);
ALTER TABLE users
    ADD COLUMN kind text NOT NULL DEFAULT 'staff' CHECK (kind IN ('staff', 'tenant', 'contractor', 'service')),
    ADD UNIQUE (organisation_id, id, kind);
CREATE TABLE grants ( -- a role that a user holds at a scope, for as long as it lasts
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations, -- the user's own
    user_id uuid NOT NULL,
    kind text NOT NULL, -- the user's: a tenant or a contractor holds no role of the staff, and the other way round
    role text NOT NULL CHECK (role IN ('administrator', 'manager', 'engineer', 'technician', 'billing', 'security', 'auditor',
                                       'integration', 'tenant', 'contractor')),
    scope text NOT NULL CHECK (scope IN ('group', 'organisation', 'site', 'building')),
    site_id uuid,
    building_id uuid,
    since timestamptz, -- NULL: at once
    until timestamptz, -- first moment after; NULL: until it is taken back
    granted_by text NOT NULL,
    granted_at timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (organisation_id, user_id, kind) REFERENCES users (organisation_id, id, kind),
    FOREIGN KEY (organisation_id, site_id) REFERENCES sites (organisation_id, id),
    FOREIGN KEY (organisation_id, site_id, building_id) REFERENCES spaces (organisation_id, site_id, id),
    CHECK ((scope IN ('site', 'building')) = (site_id IS NOT NULL) AND (scope = 'building') = (building_id IS NOT NULL)),
    CHECK (CASE WHEN kind IN ('tenant', 'contractor') THEN role = kind ELSE role NOT IN ('tenant', 'contractor') END),
    CHECK (role <> 'integration' OR kind = 'service'),
    CHECK (until > since)
);
CREATE INDEX grants_user ON grants (user_id);
ALTER TABLE users NO FORCE ROW LEVEL SECURITY;
UPDATE users SET kind = 'tenant' WHERE role = 'tenant';
INSERT INTO grants (organisation_id, user_id, kind, role, scope, granted_by)
    SELECT organisation_id, id, kind, role, 'organisation', 'plantroom' FROM users;
ALTER TABLE users FORCE ROW LEVEL SECURITY;
ALTER TABLE users DROP COLUMN role;
ALTER TABLE users ADD CHECK ((kind = 'tenant') = (tenant_id IS NOT NULL));
CALL plantroom.protect('grants', 'SELECT, INSERT, UPDATE (until)');
DROP POLICY place ON grants; -- who holds what at which site is the organisation's business as a whole
CREATE POLICY not_of_the_group ON grants AS RESTRICTIVE FOR INSERT TO plantroom_app WITH CHECK (scope <> 'group');
CREATE POLICY door ON grants FOR SELECT TO plantroom_door USING (true);
GRANT SELECT ON grants TO plantroom_door;
CREATE POLICY owner ON grants TO CURRENT_USER USING (true) WITH CHECK (true); -- grants over a group are the operator's
CREATE POLICY owner ON users FOR SELECT TO CURRENT_USER USING (true);

-- In whose name a session works: the user's own organisation, or another of its group.
ALTER TABLE sessions ADD COLUMN acting_id uuid REFERENCES organisations;
GRANT UPDATE (acting_id) ON sessions TO plantroom_door;
GRANT UPDATE (language) ON users TO plantroom_door;

-- Every space knows its building; what stands in a space or happened there knows site and building.
ALTER TABLE spaces ADD COLUMN building_id uuid;
ALTER TABLE devices ADD COLUMN building_id uuid;
ALTER TABLE alarms ADD COLUMN building_id uuid; -- where the device stood when it was raised
ALTER TABLE work_orders ADD COLUMN building_id uuid;
ALTER TABLE leases ADD COLUMN building_id uuid; -- NULL where its units lie in several

CREATE FUNCTION plantroom.find_building() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'spaces' THEN
        IF NEW.kind = 'building' THEN
            NEW.building_id := NEW.id;
        ELSE
            NEW.building_id := (SELECT building_id FROM spaces WHERE id = NEW.parent_id);
        END IF;
    ELSIF TG_TABLE_NAME = 'alarms' THEN
        NEW.building_id := (SELECT building_id FROM devices WHERE id = NEW.device_id);
    ELSE
        NEW.building_id := (SELECT building_id FROM spaces WHERE id = NEW.space_id);
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER placed BEFORE INSERT OR UPDATE OF parent_id, kind ON spaces FOR EACH ROW EXECUTE FUNCTION plantroom.find_building();
CREATE TRIGGER placed BEFORE INSERT OR UPDATE OF space_id ON devices FOR EACH ROW EXECUTE FUNCTION plantroom.find_building();
CREATE TRIGGER placed BEFORE INSERT ON alarms FOR EACH ROW EXECUTE FUNCTION plantroom.find_building();
CREATE TRIGGER placed BEFORE INSERT OR UPDATE OF space_id ON work_orders FOR EACH ROW EXECUTE FUNCTION plantroom.find_building();

CREATE FUNCTION plantroom.move_along() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE spaces SET parent_id = parent_id WHERE parent_id = NEW.id;
    UPDATE devices SET space_id = space_id WHERE space_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER moved AFTER UPDATE OF parent_id, kind ON spaces FOR EACH ROW
    WHEN (OLD.building_id IS DISTINCT FROM NEW.building_id) EXECUTE FUNCTION plantroom.move_along();

CREATE FUNCTION plantroom.find_lease_building() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE leases SET building_id = (
        SELECT CASE WHEN count(DISTINCT s.building_id) = 1 THEN min(s.building_id::text)::uuid END
        FROM lease_units u JOIN spaces s ON s.id = u.space_id WHERE u.lease_id = NEW.lease_id)
    WHERE id = NEW.lease_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER placed AFTER INSERT ON lease_units FOR EACH ROW EXECUTE FUNCTION plantroom.find_lease_building();

DO $$ -- what is there already
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['spaces', 'devices', 'alarms', 'work_orders', 'leases', 'lease_units'] LOOP
        EXECUTE format('ALTER TABLE %I NO FORCE ROW LEVEL SECURITY', name);
    END LOOP;
    WITH RECURSIVE inside AS (
        SELECT id, id AS building FROM spaces WHERE kind = 'building'
        UNION ALL SELECT s.id, i.building FROM spaces s JOIN inside i ON s.parent_id = i.id WHERE s.kind <> 'building'
    ) UPDATE spaces SET building_id = i.building FROM inside i WHERE i.id = spaces.id;
    UPDATE devices d SET building_id = s.building_id FROM spaces s WHERE s.id = d.space_id;
    UPDATE alarms a SET building_id = d.building_id FROM devices d WHERE d.id = a.device_id;
    UPDATE work_orders w SET building_id = s.building_id FROM spaces s WHERE s.id = w.space_id;
    UPDATE leases l SET building_id = b.building_id FROM (
        SELECT u.lease_id, min(s.building_id::text)::uuid AS building_id FROM lease_units u JOIN spaces s ON s.id = u.space_id
        GROUP BY 1 HAVING count(DISTINCT s.building_id) = 1) b WHERE b.lease_id = l.id;
    FOREACH name IN ARRAY ARRAY['spaces', 'devices', 'alarms', 'work_orders', 'leases', 'lease_units'] LOOP
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    END LOOP;
END
$$;
ALTER TABLE spaces ADD FOREIGN KEY (organisation_id, building_id) REFERENCES spaces (organisation_id, id);
ALTER TABLE devices ADD FOREIGN KEY (organisation_id, building_id) REFERENCES spaces (organisation_id, id);
ALTER TABLE alarms ADD FOREIGN KEY (organisation_id, building_id) REFERENCES spaces (organisation_id, id);
ALTER TABLE work_orders ADD FOREIGN KEY (organisation_id, building_id) REFERENCES spaces (organisation_id, id);
ALTER TABLE leases ADD FOREIGN KEY (organisation_id, building_id) REFERENCES spaces (organisation_id, id);

-- Places.  A row without a place of its own follows the row that it belongs to.
CALL plantroom.place('spaces');
CALL plantroom.place('devices');
CALL plantroom.place('alarms');
CALL plantroom.place('work_orders');
CALL plantroom.place('leases');
CALL plantroom.place('sites', 'plantroom.covers(id, NULL) OR id IN (SELECT site_id FROM spaces)');
CALL plantroom.place('gateways', 'plantroom.covers(site_id, NULL) OR id IN (SELECT gateway_id FROM devices)');
CALL plantroom.place('points', 'plantroom.everywhere() OR device_id IN (SELECT id FROM devices)');
CALL plantroom.place('device_units', 'plantroom.everywhere() OR device_id IN (SELECT id FROM devices)');
CALL plantroom.place('alarm_states', 'plantroom.everywhere() OR device_id IN (SELECT id FROM devices)');
CALL plantroom.place('alarm_events', 'plantroom.everywhere() OR alarm_id IN (SELECT id FROM alarms)');
CALL plantroom.place('work_order_alarms', 'plantroom.everywhere() OR order_id IN (SELECT id FROM work_orders)');
CALL plantroom.place('work_order_events', 'plantroom.everywhere() OR order_id IN (SELECT id FROM work_orders)');
CALL plantroom.place('lease_units', 'plantroom.everywhere() OR lease_id IN (SELECT id FROM leases)');
CALL plantroom.place('tenants', 'plantroom.everywhere() OR id IN (SELECT tenant_id FROM leases)');
CALL plantroom.place('invoices', 'plantroom.everywhere() OR lease_id IN (SELECT id FROM leases)');
CALL plantroom.place('charges', 'plantroom.everywhere() OR lease_id IN (SELECT id FROM leases)');
CALL plantroom.place('parked_leases', 'plantroom.everywhere() OR lease_id IN (SELECT id FROM leases)');
CALL plantroom.place('postings', 'plantroom.everywhere() OR source_id IN (SELECT id FROM invoices)');
CALL plantroom.place('posting_lines', 'plantroom.everywhere() OR lease_id IN (SELECT id FROM leases)');
CALL plantroom.place('quarantine',
    $$plantroom.everywhere() OR split_part(topic, '/', 2) IN (SELECT code FROM sites WHERE plantroom.covers(id, NULL))$$);
-- The whole organisation's: organisations, users, sessions, audit_entries, accounts, counters.

-- Readings are seen through views of the reader, whose policy on points follows the same places.
CREATE POLICY reader ON devices FOR SELECT TO plantroom_reader
    USING (organisation_id = plantroom.organisation() AND plantroom.covers(site_id, building_id));
GRANT SELECT ON devices TO plantroom_reader;
CREATE POLICY place_read ON points AS RESTRICTIVE TO plantroom_reader
    USING (plantroom.everywhere() OR device_id IN (SELECT id FROM devices));

-- A tenant sees the sites at which he has a lease.
CREATE POLICY own_papers ON sites AS RESTRICTIVE TO plantroom_app
    USING (plantroom.tenant() IS NULL OR id IN (SELECT site_id FROM leases));

-- Contractors.  Migration 0007 shut tenants out of the landlord's tables; the same tables and more are shut to contractors.
DO $$
DECLARE
    target regclass;
BEGIN
    FOR target IN
        SELECT c.oid FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'organisation_id'
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
          AND c.relname NOT IN ('grants', 'sites', 'spaces', 'devices', 'work_orders', 'work_order_events', 'audit_entries', 'users')
    LOOP
        EXECUTE format('CREATE POLICY contractors ON %s AS RESTRICTIVE TO plantroom_app USING (plantroom.contractor() IS NULL)', target);
    END LOOP;
END
$$;
-- A contractor sees the jobs given to him for as long as they last, and what they name.
CREATE POLICY contractors ON work_orders AS RESTRICTIVE TO plantroom_app
    USING (plantroom.contractor() IS NULL
           OR assignee_id = plantroom.contractor() AND state NOT IN ('verified', 'closed', 'stopped'));
CREATE POLICY contractors ON work_order_events AS RESTRICTIVE TO plantroom_app
    USING (plantroom.contractor() IS NULL OR order_id IN (SELECT id FROM work_orders));
CREATE POLICY contractors ON spaces AS RESTRICTIVE TO plantroom_app
    USING (plantroom.contractor() IS NULL
           OR id IN (SELECT space_id FROM work_orders UNION ALL SELECT building_id FROM work_orders));
CREATE POLICY contractors ON devices AS RESTRICTIVE TO plantroom_app
    USING (plantroom.contractor() IS NULL OR id IN (SELECT device_id FROM work_orders));
CREATE POLICY contractors ON sites AS RESTRICTIVE TO plantroom_app
    USING (plantroom.contractor() IS NULL OR id IN (SELECT site_id FROM work_orders));
CREATE POLICY contractors ON users AS RESTRICTIVE TO plantroom_app
    USING (plantroom.contractor() IS NULL OR id = plantroom.contractor());
CREATE POLICY contractors ON audit_entries AS RESTRICTIVE FOR SELECT TO plantroom_app USING (plantroom.contractor() IS NULL);
CREATE POLICY contractors_read ON points AS RESTRICTIVE TO plantroom_reader USING (plantroom.contractor() IS NULL);
