-- What may be set from the centre, and every wish to set it with what became of it.
CREATE TABLE allowances ( -- as the site file says, in the point's unit
    organisation_id uuid NOT NULL REFERENCES organisations,
    device_id uuid NOT NULL,
    measure text NOT NULL CHECK (length(measure) BETWEEN 1 AND 64),
    low double precision NOT NULL,
    high double precision NOT NULL,
    every_s double precision NOT NULL CHECK (every_s > 0), -- shortest time between two commands
    critical boolean NOT NULL, -- a second person has to agree
    gives_back boolean NOT NULL, -- its device can be given back to its own control
    PRIMARY KEY (device_id, measure),
    FOREIGN KEY (organisation_id, device_id) REFERENCES devices (organisation_id, id),
    CHECK (low <= high AND low > '-infinity' AND high < 'infinity')
);
CALL plantroom.protect('allowances', 'SELECT, INSERT, UPDATE, DELETE');
CALL plantroom.place('allowances', 'plantroom.everywhere() OR device_id IN (SELECT id FROM devices)');

CREATE TABLE commands (
    id uuid PRIMARY KEY, -- made by whoever submitted: a retry is harmless, here and at the gateway
    organisation_id uuid NOT NULL REFERENCES organisations,
    device_id uuid NOT NULL,
    measure text NOT NULL CHECK (length(measure) BETWEEN 1 AND 64),
    value double precision CHECK (value > '-infinity' AND value < 'infinity'), -- NULL: given back
    reason text NOT NULL CHECK (length(reason) <= 500),
    critical boolean NOT NULL,
    given_by text NOT NULL,
    asked_at timestamptz NOT NULL,
    approval bigint, -- the number of the request, where a second person has to agree
    seconded_by text,
    issued_at timestamptz, -- NULL: waits for the second person
    expires_at timestamptz,
    state text NOT NULL
        CHECK (state IN ('asked', 'given', 'sent', 'done', 'refused', 'failed', 'uncertain', 'expired')),
    sent_at timestamptz, -- for the first time
    tried_at timestamptz, -- for the last time
    answered_at timestamptz, -- by the gateway; NULL: nobody has
    shown double precision, -- what the point read afterwards
    answer text NOT NULL DEFAULT '' CHECK (length(answer) <= 1000), -- why not, in a sentence
    FOREIGN KEY (organisation_id, device_id) REFERENCES devices (organisation_id, id),
    CHECK ((issued_at IS NULL) = (expires_at IS NULL)),
    CHECK (expires_at > issued_at),
    CHECK (issued_at IS NOT NULL OR state IN ('asked', 'expired')),
    CHECK (NOT critical OR issued_at IS NULL OR seconded_by <> given_by),
    CHECK (NOT critical OR reason <> '')
);
CREATE INDEX commands_point ON commands (device_id, measure, asked_at DESC);
CREATE INDEX commands_person ON commands (organisation_id, given_by, asked_at DESC);
CREATE INDEX commands_open ON commands (expires_at) WHERE state IN ('asked', 'given', 'sent');
CALL plantroom.protect('commands', 'SELECT, INSERT, UPDATE (approval, seconded_by, issued_at, expires_at, state, answer)');
CALL plantroom.place('commands', 'plantroom.everywhere() OR device_id IN (SELECT id FROM devices)');
CREATE POLICY ingest ON commands TO plantroom_ingest USING (true);
GRANT SELECT, UPDATE (state, sent_at, tried_at, answered_at, shown, answer) ON commands TO plantroom_ingest;
CREATE POLICY keeper ON commands TO plantroom_keeper USING (organisation_id = (SELECT plantroom.organisation()));
GRANT SELECT (id, organisation_id, measure, value, reason, given_by, seconded_by, asked_at, state) ON commands TO plantroom_keeper;

-- Open pages hear of every turn over the live channel.
CREATE FUNCTION plantroom.announce_command() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('plantroom_live', json_build_object(
        'kind', 'command', 'id', NEW.id, 'organisation', NEW.organisation_id)::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER announced AFTER INSERT OR UPDATE OF state ON commands
    FOR EACH ROW EXECUTE FUNCTION plantroom.announce_command();
