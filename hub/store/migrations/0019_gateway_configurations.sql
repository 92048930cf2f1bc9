-- The site file that each gateway is wanted to go by, every version of it, and what the gateway says of the one it has.
CREATE TABLE gateway_configurations (
    organisation_id uuid NOT NULL REFERENCES organisations,
    gateway_id uuid NOT NULL,
    number bigint NOT NULL CHECK (number > 0), -- milliseconds since 1970: grows even when the database was restored
    sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    body text NOT NULL CHECK (octet_length(body) <= 4194304), -- without people: those stay here
    note text NOT NULL CHECK (length(note) <= 500),
    set_at timestamptz NOT NULL,
    PRIMARY KEY (gateway_id, number),
    FOREIGN KEY (organisation_id, gateway_id) REFERENCES gateways (organisation_id, id)
);
CALL plantroom.protect('gateway_configurations', 'SELECT, INSERT');
CALL plantroom.place('gateway_configurations', 'plantroom.everywhere() OR gateway_id IN (SELECT id FROM gateways)');
CREATE POLICY ingest ON gateway_configurations FOR SELECT TO plantroom_ingest USING (true);
GRANT SELECT ON gateway_configurations TO plantroom_ingest;

CREATE TABLE gateway_configuration_states (
    organisation_id uuid NOT NULL REFERENCES organisations,
    gateway_id uuid PRIMARY KEY,
    number bigint NOT NULL CHECK (number >= 0), -- the last pushed version that it knows; 0: none
    sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'), -- of the file that it goes by
    state text NOT NULL CHECK (state IN ('local', 'trial', 'in force', 'refused', 'rolled back')),
    reason text NOT NULL CHECK (length(reason) <= 500),
    changed_at timestamptz NOT NULL,
    FOREIGN KEY (organisation_id, gateway_id) REFERENCES gateways (organisation_id, id)
);
CALL plantroom.protect('gateway_configuration_states', 'SELECT, INSERT, UPDATE');
CALL plantroom.place('gateway_configuration_states', 'plantroom.everywhere() OR gateway_id IN (SELECT id FROM gateways)');
