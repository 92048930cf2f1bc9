-- Consumption per meter and local day or month as stored facts, each with its evidence and a trace of every change.
ALTER TABLE devices ADD COLUMN hourly_max numeric(13, 4) CHECK (hourly_max > 0); -- most that it can count in an hour, multiplied

CREATE TABLE virtual_meters ( -- dated sums, differences and shares of other meters, as the site file says
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations,
    site_id uuid NOT NULL,
    code text NOT NULL,
    name_zh text NOT NULL,
    name_en text NOT NULL,
    commodity text NOT NULL CHECK (commodity IN ('electricity', 'water')),
    unit text NOT NULL,
    versions jsonb NOT NULL, -- rules/model/virtual.py
    withdrawn boolean NOT NULL DEFAULT false, -- no longer in the site file: what was worked out stays
    UNIQUE (organisation_id, code),
    UNIQUE (organisation_id, id),
    FOREIGN KEY (organisation_id, site_id) REFERENCES sites (organisation_id, id)
);
CALL plantroom.protect('virtual_meters', 'SELECT, INSERT, UPDATE');

CREATE TABLE consumptions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations,
    point_id bigint, -- a meter's counter
    virtual_id uuid, -- or a virtual meter
    grain text NOT NULL CHECK (grain IN ('day', 'month')),
    first date NOT NULL, -- of the site
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    state text NOT NULL CHECK (state IN ('provisional', 'final', 'parked')),
    quantity numeric, -- in ``unit``, multiplied; NULL: it cannot be decided, never zero
    unit text NOT NULL,
    estimated boolean NOT NULL,
    reach_from timestamptz NOT NULL, -- a reading from here to reach_to may change it
    reach_to timestamptz NOT NULL,
    evidence jsonb NOT NULL, -- hub/metering/evidence.py
    version integer NOT NULL,
    worked_at timestamptz NOT NULL, -- when it came to be what it is
    UNIQUE (organisation_id, id),
    UNIQUE NULLS NOT DISTINCT (point_id, virtual_id, grain, first),
    FOREIGN KEY (organisation_id, point_id) REFERENCES points (organisation_id, id),
    FOREIGN KEY (organisation_id, virtual_id) REFERENCES virtual_meters (organisation_id, id),
    CHECK (num_nonnulls(point_id, virtual_id) = 1),
    CHECK ((quantity IS NULL) = (state = 'parked')),
    CHECK (starts_at < ends_at)
);
CREATE INDEX consumptions_open ON consumptions (organisation_id, ends_at) WHERE state = 'provisional';
CREATE INDEX consumptions_first ON consumptions (organisation_id, grain, first);
CALL plantroom.protect('consumptions', 'SELECT, INSERT, UPDATE');
CALL plantroom.place('consumptions', $$plantroom.everywhere() OR point_id IN (SELECT id FROM points)
    OR virtual_id IN (SELECT id FROM virtual_meters)$$);

CREATE TABLE consumption_changes ( -- what a recomputation changed; a fact is never replaced silently
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations,
    consumption_id uuid NOT NULL,
    version integer NOT NULL, -- that this change made
    changed_at timestamptz NOT NULL,
    cause text NOT NULL CHECK (cause IN ('readings', 'exchange', 'ratio', 'inputs')),
    quantity_before numeric,
    quantity_after numeric,
    differences jsonb NOT NULL, -- [{what, before, after}]
    after_final boolean NOT NULL, -- the fact was final or billed: a correcting charge may be due
    invoices text[] NOT NULL, -- numbers of those that stand on the period
    UNIQUE (consumption_id, version),
    FOREIGN KEY (organisation_id, consumption_id) REFERENCES consumptions (organisation_id, id)
);
CREATE INDEX consumption_changes_late ON consumption_changes (organisation_id, changed_at) WHERE after_final;
CALL plantroom.protect('consumption_changes', 'SELECT, INSERT');
CALL plantroom.place('consumption_changes', 'plantroom.everywhere() OR consumption_id IN (SELECT id FROM consumptions)');
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON consumption_changes FOR EACH ROW EXECUTE FUNCTION plantroom.refuse_change();
CREATE TRIGGER kept BEFORE TRUNCATE ON consumption_changes FOR EACH STATEMENT EXECUTE FUNCTION plantroom.refuse_change();

CREATE TABLE consumption_marks ( -- hours of counters whose rollup was made again: something came in; hub/metering/marks.py
    organisation_id uuid NOT NULL REFERENCES organisations,
    point_id bigint NOT NULL,
    bucket timestamptz NOT NULL,
    PRIMARY KEY (point_id, bucket),
    FOREIGN KEY (organisation_id, point_id) REFERENCES points (organisation_id, id)
);
CALL plantroom.protect('consumption_marks', 'SELECT, INSERT, DELETE');
CALL plantroom.place('consumption_marks', 'plantroom.everywhere() OR point_id IN (SELECT id FROM points)');
CREATE POLICY ingest ON consumption_marks TO plantroom_ingest USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON consumption_marks TO plantroom_ingest;
