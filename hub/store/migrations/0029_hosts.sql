-- Who speaks without being registered, and what was said meanwhile: it is stored when somebody has adopted the speaker.
ALTER TABLE gateways ADD COLUMN version text NOT NULL DEFAULT '' CHECK (length(version) <= 40); -- of its program, as it says

CREATE TABLE strangers (
    organisation_id uuid NOT NULL REFERENCES organisations,
    site_id uuid NOT NULL,
    gateway text NOT NULL CHECK (length(gateway) <= 120),
    device text NOT NULL CHECK (length(device) <= 120), -- '': the gateway itself
    declares text NOT NULL CHECK (length(declares) <= 2000), -- the points that its birth names, for the engineer
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    ignored boolean NOT NULL DEFAULT false, -- somebody said that it does not belong here
    PRIMARY KEY (site_id, gateway, device),
    FOREIGN KEY (organisation_id, site_id) REFERENCES sites (organisation_id, id)
);
CALL plantroom.protect('strangers', 'SELECT, UPDATE, DELETE');
CREATE POLICY ingest ON strangers TO plantroom_ingest USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON strangers TO plantroom_ingest;

-- Frames whose readings have no point yet. ``measure`` and ``unit`` are given where one point waits for its unit.
CREATE TABLE held_frames (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES organisations,
    gateway_id uuid NOT NULL,
    device text NOT NULL CHECK (length(device) <= 120),
    measure text,
    unit text,
    received_at timestamptz NOT NULL,
    readings integer NOT NULL CHECK (readings > 0),
    body bytea NOT NULL CHECK (length(body) <= 262144), -- a payload that names everything: it needs no birth
    CHECK ((measure IS NULL) = (unit IS NULL)),
    FOREIGN KEY (organisation_id, gateway_id) REFERENCES gateways (organisation_id, id)
);
CREATE INDEX held_frames_of ON held_frames (gateway_id, device, id);
CALL plantroom.protect('held_frames', 'SELECT, DELETE');
CALL plantroom.place('held_frames', 'plantroom.everywhere() OR gateway_id IN (SELECT id FROM gateways)');
CREATE POLICY ingest ON held_frames TO plantroom_ingest USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, DELETE ON held_frames TO plantroom_ingest;
GRANT UPDATE (unit) ON points TO plantroom_app;
