-- Sites, spaces, gateways, devices and points.
CREATE TABLE sites (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations,
    code text NOT NULL UNIQUE, -- it names the site on the wire
    name_zh text NOT NULL,
    name_en text NOT NULL,
    timezone text NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    latitude double precision NOT NULL DEFAULT 0,
    longitude double precision NOT NULL DEFAULT 0
);
CALL plantroom.protect('sites', 'SELECT, INSERT, UPDATE');
CREATE POLICY ingest ON sites FOR SELECT TO plantroom_ingest USING (true);
GRANT SELECT ON sites TO plantroom_ingest;

CREATE TABLE spaces (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations,
    site_id uuid NOT NULL REFERENCES sites,
    parent_id uuid REFERENCES spaces,
    kind text NOT NULL CHECK (kind IN ('building', 'floor', 'unit')),
    code text NOT NULL,
    name_zh text NOT NULL,
    name_en text NOT NULL,
    level integer NOT NULL DEFAULT 0, -- floors from the lowest up
    area_m2 numeric(12, 2) CHECK (area_m2 > 0),
    UNIQUE (site_id, code)
);
CALL plantroom.protect('spaces', 'SELECT, INSERT, UPDATE');

CREATE TABLE gateways (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations,
    site_id uuid NOT NULL REFERENCES sites,
    code text NOT NULL,
    spool text NOT NULL DEFAULT '', -- identity of the spool whose numbers "committed" counts
    committed bigint NOT NULL DEFAULT 0, -- highest contiguous spool number that is stored
    online boolean NOT NULL DEFAULT false,
    born_at timestamptz,
    seen_at timestamptz,
    depth bigint NOT NULL DEFAULT 0, -- frames that wait in its spool
    clock_step_ms bigint NOT NULL DEFAULT 0,
    rival_spool text NOT NULL DEFAULT '', -- another edge that claims this name; empty when there is none
    rival_seen_at timestamptz,
    UNIQUE (site_id, code)
);
CALL plantroom.protect('gateways', 'SELECT, INSERT, UPDATE');
CREATE POLICY ingest ON gateways TO plantroom_ingest USING (true);
GRANT SELECT, UPDATE ON gateways TO plantroom_ingest;

CREATE TABLE devices (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations,
    site_id uuid NOT NULL REFERENCES sites,
    gateway_id uuid NOT NULL REFERENCES gateways,
    space_id uuid NOT NULL REFERENCES spaces,
    parent_id uuid REFERENCES devices, -- the meter upstream
    code text NOT NULL,
    name_zh text NOT NULL,
    name_en text NOT NULL,
    profile text NOT NULL,
    role text NOT NULL CHECK (role IN ('main', 'floor', 'tenant', 'common', 'plant')),
    commodity text CHECK (commodity IN ('electricity', 'water')),
    multiplier numeric(12, 4) NOT NULL DEFAULT 1 CHECK (multiplier > 0), -- CT/PT ratio: meter face to consumption
    online boolean NOT NULL DEFAULT false,
    online_changed_at timestamptz,
    UNIQUE (organisation_id, code)
);
CREATE INDEX devices_gateway ON devices (gateway_id);
CALL plantroom.protect('devices', 'SELECT, INSERT, UPDATE');
CREATE POLICY ingest ON devices TO plantroom_ingest USING (true);
GRANT SELECT, UPDATE (online, online_changed_at) ON devices TO plantroom_ingest;

CREATE TABLE device_units ( -- the units that a tenant's meter measures
    organisation_id uuid NOT NULL REFERENCES organisations,
    device_id uuid NOT NULL REFERENCES devices,
    space_id uuid NOT NULL REFERENCES spaces,
    PRIMARY KEY (device_id, space_id)
);
CALL plantroom.protect('device_units', 'SELECT, INSERT, DELETE');

CREATE TABLE points (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES organisations,
    site_id uuid NOT NULL REFERENCES sites,
    device_id uuid NOT NULL REFERENCES devices,
    code text NOT NULL, -- <device>.<measure>
    measure text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('counter', 'gauge', 'state')),
    unit text NOT NULL,
    resolution numeric NOT NULL CHECK (resolution > 0),
    modulus numeric CHECK (modulus > 0), -- where a counter rolls over
    UNIQUE (organisation_id, code)
);
CREATE INDEX points_device ON points (device_id);
CALL plantroom.protect('points', 'SELECT');
CREATE POLICY ingest ON points TO plantroom_ingest USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON points TO plantroom_ingest;
CREATE POLICY reader ON points FOR SELECT TO plantroom_reader USING (organisation_id = plantroom.organisation());
GRANT SELECT ON points TO plantroom_reader;

-- How a counter is read decides what is billed: a gateway that says otherwise than before leaves a trace.
CREATE FUNCTION plantroom.record_point() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_entries (organisation_id, actor, action, entity, entity_id, details)
    VALUES (NEW.organisation_id, current_user, 'changed', 'point', NEW.id,
            jsonb_build_object('before', jsonb_build_array(OLD.kind, OLD.unit, OLD.resolution, OLD.modulus),
                               'after', jsonb_build_array(NEW.kind, NEW.unit, NEW.resolution, NEW.modulus)));
    RETURN NULL;
END
$$;
CREATE TRIGGER recorded AFTER UPDATE ON points FOR EACH ROW
    WHEN ((OLD.kind, OLD.unit, OLD.resolution, OLD.modulus) IS DISTINCT FROM (NEW.kind, NEW.unit, NEW.resolution, NEW.modulus))
    EXECUTE FUNCTION plantroom.record_point();
