-- Corrections by people: readings disputed, replaced or added, and exchanges of meters.  What was measured stays; what a
-- correction that is in force says lies over it.
CREATE TABLE corrections (
    id uuid PRIMARY KEY, -- made by whoever asks: a retry is harmless
    organisation_id uuid NOT NULL REFERENCES organisations,
    number bigint NOT NULL,
    point_id bigint NOT NULL,
    point text NOT NULL, -- its code when it was asked for
    kind text NOT NULL CHECK (kind IN ('dispute', 'replace', 'add', 'exchange', 'withdraw')),
    withdraws_id uuid, -- the correction that no longer holds when this one is in force
    first_at timestamptz NOT NULL, -- of the moments concerned
    last_at timestamptz NOT NULL,
    lines integer NOT NULL CHECK (lines >= 0),
    digest text NOT NULL, -- SHA-256 of the lines or of the exchange: what an approver agrees to
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    billing boolean NOT NULL, -- a bill stands on this point: a second person has to agree
    bills text[] NOT NULL, -- numbers of the invoices that rest on these moments, when it was asked for
    effect jsonb NOT NULL, -- consumption of the days concerned, before and after, when it was asked for
    asked_by text NOT NULL,
    asked_at timestamptz NOT NULL,
    approval bigint, -- the number of the request, where a second person has to agree
    seconded_by text,
    state text NOT NULL CHECK (state IN ('proposed', 'in_force', 'withdrawn', 'dropped')),
    in_force_by text,
    in_force_at timestamptz,
    ended_at timestamptz, -- dropped, or withdrawn by another correction
    UNIQUE (organisation_id, number),
    UNIQUE (organisation_id, id),
    FOREIGN KEY (organisation_id, point_id) REFERENCES points (organisation_id, id),
    FOREIGN KEY (organisation_id, withdraws_id) REFERENCES corrections (organisation_id, id),
    CHECK (first_at <= last_at),
    CHECK ((kind = 'withdraw') = (withdraws_id IS NOT NULL)),
    CHECK ((in_force_at IS NULL) = (state IN ('proposed', 'dropped')) AND (in_force_at IS NULL) = (in_force_by IS NULL)),
    CHECK (NOT billing OR in_force_at IS NULL OR (seconded_by IS NOT NULL AND seconded_by <> asked_by))
);
CREATE INDEX corrections_point ON corrections (point_id, first_at);
CREATE INDEX corrections_withdraws ON corrections (withdraws_id) WHERE withdraws_id IS NOT NULL;
CALL plantroom.protect('corrections', 'SELECT, INSERT, UPDATE (approval, seconded_by, state, in_force_by, in_force_at, ended_at)');
CALL plantroom.place('corrections', 'plantroom.everywhere() OR point_id IN (SELECT id FROM points)');
CALL plantroom.keep('corrections', 'SELECT (id, organisation_id, number, point, kind, reason, asked_by, asked_at, seconded_by, state, in_force_by, in_force_at)');

CREATE TABLE correction_lines ( -- one reading each: as it was measured, as it stood, as it shall stand
    organisation_id uuid NOT NULL REFERENCES organisations,
    correction_id uuid NOT NULL,
    at timestamptz NOT NULL,
    original_value double precision,
    original_quality smallint, -- NULL: nothing was measured at this moment
    before_value double precision,
    before_quality smallint, -- NULL: no reading stood here
    value double precision CHECK (value > '-infinity' AND value < 'infinity'),
    quality smallint, -- NULL: no reading shall stand here
    PRIMARY KEY (correction_id, at),
    FOREIGN KEY (organisation_id, correction_id) REFERENCES corrections (organisation_id, id)
);
CALL plantroom.protect('correction_lines', 'SELECT, INSERT');
CALL plantroom.place('correction_lines', 'plantroom.everywhere() OR correction_id IN (SELECT id FROM corrections)');
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON correction_lines FOR EACH ROW EXECUTE FUNCTION plantroom.refuse_change();
CREATE TRIGGER kept BEFORE TRUNCATE ON correction_lines FOR EACH STATEMENT EXECUTE FUNCTION plantroom.refuse_change();

CREATE TABLE correction_photos (
    organisation_id uuid NOT NULL REFERENCES organisations,
    correction_id uuid PRIMARY KEY,
    sha256 bytea NOT NULL,
    media_type text NOT NULL CHECK (media_type IN ('image/jpeg', 'image/png')),
    picture bytea NOT NULL CHECK (length(picture) BETWEEN 1 AND 2097152),
    FOREIGN KEY (organisation_id, correction_id) REFERENCES corrections (organisation_id, id)
);
CALL plantroom.protect('correction_photos', 'SELECT, INSERT');
CALL plantroom.place('correction_photos', 'plantroom.everywhere() OR correction_id IN (SELECT id FROM corrections)');
CALL plantroom.keep('correction_photos', 'SELECT (organisation_id, correction_id, media_type)');
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON correction_photos FOR EACH ROW EXECUTE FUNCTION plantroom.refuse_change();
CREATE TRIGGER kept BEFORE TRUNCATE ON correction_photos FOR EACH STATEMENT EXECUTE FUNCTION plantroom.refuse_change();

CREATE TABLE meter_exchanges ( -- each holds while its correction is in force
    organisation_id uuid NOT NULL REFERENCES organisations,
    correction_id uuid PRIMARY KEY,
    point_id bigint NOT NULL,
    at timestamptz NOT NULL,
    final numeric NOT NULL CHECK (final >= 0), -- what the old face showed last
    resolution_before numeric NOT NULL CHECK (resolution_before > 0),
    modulus_before numeric CHECK (modulus_before > final),
    multiplier_before numeric NOT NULL CHECK (multiplier_before > 0),
    serial_before text NOT NULL CHECK (length(serial_before) <= 64),
    initial numeric NOT NULL CHECK (initial >= 0), -- what the new face showed first
    resolution numeric NOT NULL CHECK (resolution > 0),
    modulus numeric CHECK (modulus > initial),
    multiplier numeric NOT NULL CHECK (multiplier > 0),
    serial text NOT NULL CHECK (length(serial) <= 64),
    FOREIGN KEY (organisation_id, correction_id) REFERENCES corrections (organisation_id, id),
    FOREIGN KEY (organisation_id, point_id) REFERENCES points (organisation_id, id)
);
CREATE INDEX meter_exchanges_point ON meter_exchanges (point_id, at);
CALL plantroom.protect('meter_exchanges', 'SELECT, INSERT');
CALL plantroom.place('meter_exchanges', 'plantroom.everywhere() OR point_id IN (SELECT id FROM points)');
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON meter_exchanges FOR EACH ROW EXECUTE FUNCTION plantroom.refuse_change();
CREATE TRIGGER kept BEFORE TRUNCATE ON meter_exchanges FOR EACH STATEMENT EXECUTE FUNCTION plantroom.refuse_change();

-- What holds now, one row for each corrected moment; it can be made again from the corrections that are in force.
CREATE TABLE amendments (
    organisation_id uuid NOT NULL REFERENCES organisations,
    point_id bigint NOT NULL,
    at timestamptz NOT NULL,
    value double precision,
    quality smallint NOT NULL,
    correction_id uuid NOT NULL,
    PRIMARY KEY (point_id, at),
    FOREIGN KEY (organisation_id, point_id) REFERENCES points (organisation_id, id),
    FOREIGN KEY (organisation_id, correction_id) REFERENCES corrections (organisation_id, id)
);
CALL plantroom.protect('amendments', 'SELECT, INSERT, DELETE');
CALL plantroom.place('amendments', 'plantroom.everywhere() OR point_id IN (SELECT id FROM points)');
CREATE POLICY ingest ON amendments FOR SELECT TO plantroom_ingest USING (true);
CREATE POLICY reader ON amendments FOR SELECT TO plantroom_reader USING (organisation_id = (SELECT plantroom.organisation()));
GRANT SELECT ON amendments TO plantroom_ingest, plantroom_reader;

-- Whether any amendment lies over a point's samples.  It is asked once for a point, so that the samples of all others cost
-- nothing more than before.
ALTER TABLE points ADD COLUMN amended boolean NOT NULL DEFAULT false;
GRANT UPDATE (amended) ON points TO plantroom_app;

-- Readings as they stand, for programs.  A scalar subquery, because it is looked up for amended points alone; an anti-join
-- would be carried out for every sample.
CREATE OR REPLACE VIEW effective_samples WITH (security_invoker = true) AS
    SELECT s.point_id, s.at, s.value, s.quality
    FROM points p JOIN samples s ON s.point_id = p.id
    WHERE NOT p.amended OR (SELECT a.at FROM amendments a WHERE a.point_id = s.point_id AND a.at = s.at) IS NULL
    UNION ALL
    SELECT a.point_id, a.at, a.value, a.quality
    FROM points p JOIN amendments a ON a.point_id = p.id
    WHERE p.amended;
GRANT SELECT ON effective_samples TO plantroom_ingest, plantroom_reader;

-- What a person read counts in rollups too.
DO $$
BEGIN
    IF to_regprocedure('plantroom.roll(bigint[], timestamptz[], timestamptz[])') IS NOT NULL THEN
        EXECUTE replace(pg_get_functiondef('plantroom.roll(bigint[], timestamptz[], timestamptz[])'::regprocedure),
                        'e.quality = 192', 'e.quality IN (192, 216)');
    END IF;
END
$$;

-- Readings as they stand, for people.
CREATE OR REPLACE VIEW readings WITH (security_barrier) AS
    SELECT p.organisation_id, p.site_id, p.device_id, s.point_id, p.code AS point, s.at, s.value, s.quality
    FROM points p JOIN samples s ON s.point_id = p.id
    WHERE NOT p.amended OR (SELECT a.at FROM amendments a WHERE a.point_id = s.point_id AND a.at = s.at) IS NULL
    UNION ALL
    SELECT p.organisation_id, p.site_id, p.device_id, a.point_id, p.code AS point, a.at, a.value, a.quality
    FROM points p JOIN amendments a ON a.point_id = p.id
    WHERE p.amended;

-- Readings as they were measured, whatever became of them.
CREATE VIEW original_readings WITH (security_barrier) AS
    SELECT p.organisation_id, p.site_id, p.device_id, s.point_id, p.code AS point, s.at, s.value, s.quality
    FROM points p JOIN samples s ON s.point_id = p.id;
GRANT CREATE ON SCHEMA public TO plantroom_reader;
ALTER VIEW original_readings OWNER TO plantroom_reader;
REVOKE CREATE ON SCHEMA public FROM plantroom_reader;
GRANT SELECT ON original_readings TO plantroom_app;

-- Whether bills stand on a point: the counter of a meter that measures units, or that was billed.
CREATE FUNCTION plantroom.billed(point bigint) RETURNS boolean LANGUAGE sql STABLE SET search_path = public
    BEGIN ATOMIC
        SELECT EXISTS (
            SELECT FROM public.points p JOIN public.devices d ON d.id = p.device_id
            WHERE p.id = point AND p.kind = 'counter'
              AND (EXISTS (SELECT FROM public.device_units u WHERE u.device_id = d.id)
                   OR EXISTS (SELECT FROM public.charges c WHERE c.device_id = d.id)));
    END;
