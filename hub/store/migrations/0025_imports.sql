-- Readings that people brought in files: which file, who, what became of each row, and which readings came from it.
CREATE TABLE imports (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations,
    site_id uuid NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200), -- of the file
    sha256 text NOT NULL CHECK (length(sha256) = 64),
    size_bytes integer NOT NULL,
    state text NOT NULL CHECK (state IN ('checked', 'stored')), -- checked: nothing was written yet
    checked_at timestamptz NOT NULL,
    checked_by text NOT NULL,
    stored_at timestamptz,
    stored_by text,
    readings integer NOT NULL, -- in the file, whatever became of them
    good integer NOT NULL, -- new ones: would be stored, or were
    duplicates integer NOT NULL, -- there already with the same value, or twice in the file
    conflicts integer NOT NULL, -- another value is there at the same moment; it stays
    refused integer NOT NULL, -- could not be used
    first_at timestamptz,
    last_at timestamptz,
    report bytea NOT NULL, -- what was refused and why, CSV, gzip
    CHECK ((state = 'stored') = (stored_at IS NOT NULL) AND (state = 'stored') = (stored_by IS NOT NULL)),
    FOREIGN KEY (organisation_id, site_id) REFERENCES sites (organisation_id, id),
    UNIQUE (organisation_id, id)
);
CREATE INDEX imports_site ON imports (site_id, checked_at DESC);
CALL plantroom.protect('imports', 'SELECT, INSERT, UPDATE');
CALL plantroom.keep('imports', 'SELECT');

CREATE TABLE import_files ( -- between the dry run and the word to store it
    organisation_id uuid NOT NULL REFERENCES organisations,
    import_id uuid PRIMARY KEY,
    body bytea NOT NULL,
    FOREIGN KEY (organisation_id, import_id) REFERENCES imports (organisation_id, id)
);
CALL plantroom.protect('import_files', 'SELECT, INSERT, DELETE');
CALL plantroom.place('import_files', 'plantroom.everywhere() OR import_id IN (SELECT id FROM imports)');

CREATE TABLE import_points ( -- exactly which readings came from which file
    organisation_id uuid NOT NULL REFERENCES organisations,
    import_id uuid NOT NULL,
    point_id bigint NOT NULL,
    n integer NOT NULL CHECK (n > 0),
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    moments bytea NOT NULL, -- their times: microseconds since 2000-01-01 UTC, differences, little-endian, zlib
    PRIMARY KEY (import_id, point_id),
    FOREIGN KEY (organisation_id, import_id) REFERENCES imports (organisation_id, id),
    FOREIGN KEY (organisation_id, point_id) REFERENCES points (organisation_id, id)
);
CREATE INDEX import_points_point ON import_points (point_id);
CALL plantroom.protect('import_points', 'SELECT, INSERT');
CALL plantroom.place('import_points', 'plantroom.everywhere() OR point_id IN (SELECT id FROM points)');
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON import_points FOR EACH ROW EXECUTE FUNCTION plantroom.refuse_change();
CREATE TRIGGER kept BEFORE TRUNCATE ON import_points FOR EACH STATEMENT EXECUTE FUNCTION plantroom.refuse_change();
