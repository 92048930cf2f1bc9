-- Looks at meter faces beside what the platform shows (rules/meter/look.py), as engineers have signed them on site: which
-- counters bills may stand on.
ALTER TABLE sites ADD COLUMN bill_trusted_only boolean NOT NULL DEFAULT false; -- else an untrusted meter is billed and marked

-- Asked once per query, as in 0016.
CREATE OR REPLACE PROCEDURE plantroom.keep(target regclass, rights text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE POLICY keeper ON %s TO plantroom_keeper USING (%s) WITH CHECK (organisation_id = plantroom.organisation())',
                   target, plantroom.once('organisation_id = plantroom.organisation()'));
    EXECUTE format('GRANT %s ON %s TO plantroom_keeper', rights, target);
END
$$;

CREATE TABLE commissionings (
    organisation_id uuid NOT NULL REFERENCES organisations,
    point_id bigint NOT NULL,
    at timestamptz NOT NULL,
    by_whom text NOT NULL CHECK (length(by_whom) BETWEEN 1 AND 300), -- who stood before the meter
    unit text NOT NULL CHECK (length(unit) <= 300),
    face numeric NOT NULL,
    shown numeric, -- NULL: the platform showed nothing
    power numeric,
    agrees boolean NOT NULL,
    pace text NOT NULL CHECK (length(pace) <= 40),
    said text NOT NULL CHECK (length(said) <= 300),
    received_at timestamptz NOT NULL,
    received_from text NOT NULL, -- who brought the record
    PRIMARY KEY (point_id, at),
    FOREIGN KEY (organisation_id, point_id) REFERENCES points (organisation_id, id)
);
CALL plantroom.protect('commissionings', 'SELECT, INSERT');
CALL plantroom.place('commissionings', 'plantroom.everywhere() OR point_id IN (SELECT id FROM points)');
CALL plantroom.keep('commissionings', 'SELECT');
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON commissionings FOR EACH ROW EXECUTE FUNCTION plantroom.refuse_change();
CREATE TRIGGER kept BEFORE TRUNCATE ON commissionings FOR EACH STATEMENT EXECUTE FUNCTION plantroom.refuse_change();
