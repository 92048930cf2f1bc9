-- Zones, and what is seen of people in them: stills of cameras, badge events of doors.  Contacts and bank accounts of tenants.
-- Who gives out and erases what is known of a person, and who removes what has outlived its period.

-- plantroom_keeper touches, of all tables, only what the register of personal data names (rules/definitions/privacy.yaml).
DO $$
BEGIN
    BEGIN
        CREATE ROLE plantroom_keeper NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
    GRANT plantroom_keeper TO plantroom_hub;
END
$$;
GRANT USAGE ON SCHEMA public, plantroom TO plantroom_keeper;

-- Let the keeper at a table, inside its organisation.
CREATE PROCEDURE plantroom.keep(target regclass, rights text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'CREATE POLICY keeper ON %s TO plantroom_keeper
         USING (organisation_id = plantroom.organisation()) WITH CHECK (organisation_id = plantroom.organisation())', target);
    EXECUTE format('GRANT %s ON %s TO plantroom_keeper', rights, target);
END
$$;

-- A table that people from outside may read, but not write, whatever they are admitted to.
CREATE PROCEDURE plantroom.written_inside(target regclass) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE POLICY insiders_add ON %s AS RESTRICTIVE FOR INSERT TO plantroom_app WITH CHECK (plantroom.insider())', target);
    EXECUTE format('CREATE POLICY insiders_change ON %s AS RESTRICTIVE FOR UPDATE TO plantroom_app USING (plantroom.insider())', target);
    EXECUTE format('CREATE POLICY insiders_remove ON %s AS RESTRICTIVE FOR DELETE TO plantroom_app USING (plantroom.insider())', target);
END
$$;

CREATE TABLE zones ( -- parts of a site that cameras and doors watch
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations,
    site_id uuid NOT NULL,
    building_id uuid, -- NULL: of the site as such
    code text NOT NULL CHECK (length(code) BETWEEN 1 AND 64),
    name_zh text NOT NULL,
    name_en text NOT NULL,
    sensitive boolean NOT NULL DEFAULT false, -- what is seen there is for people with the clearance only
    UNIQUE (site_id, code),
    UNIQUE (organisation_id, site_id, id),
    FOREIGN KEY (organisation_id, site_id) REFERENCES sites (organisation_id, id),
    FOREIGN KEY (organisation_id, site_id, building_id) REFERENCES spaces (organisation_id, site_id, id)
);
CALL plantroom.protect('zones', 'SELECT, INSERT, UPDATE');

CREATE TABLE badge_holders ( -- who carried which badge: the one place where badge events have a name
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations,
    site_id uuid NOT NULL,
    badge text NOT NULL CHECK (length(badge) BETWEEN 1 AND 64),
    name text NOT NULL CHECK (length(name) <= 120), -- a badge that goes to somebody else is another row
    added_at timestamptz NOT NULL,
    UNIQUE (site_id, badge, name),
    UNIQUE (organisation_id, site_id, id),
    FOREIGN KEY (organisation_id, site_id) REFERENCES sites (organisation_id, id)
);
CALL plantroom.protect('badge_holders', 'SELECT, INSERT');

CREATE TABLE badge_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES organisations,
    site_id uuid NOT NULL,
    building_id uuid, -- the zone's at that time
    zone_id uuid NOT NULL,
    submission_id uuid NOT NULL, -- made by whoever submitted: a retry is harmless
    door text NOT NULL CHECK (length(door) BETWEEN 1 AND 64),
    at timestamptz NOT NULL,
    result text NOT NULL CHECK (result IN ('granted', 'denied', 'forced', 'held')),
    holder_id uuid, -- NULL: nobody showed a badge
    source text NOT NULL, -- who sent it in
    received_at timestamptz NOT NULL,
    UNIQUE (organisation_id, submission_id),
    FOREIGN KEY (organisation_id, site_id, zone_id) REFERENCES zones (organisation_id, site_id, id),
    FOREIGN KEY (organisation_id, site_id, holder_id) REFERENCES badge_holders (organisation_id, site_id, id),
    FOREIGN KEY (organisation_id, building_id) REFERENCES spaces (organisation_id, id)
);
CREATE INDEX badge_events_time ON badge_events (organisation_id, at DESC, id DESC);
CREATE INDEX badge_events_holder ON badge_events (holder_id, at DESC);
CREATE INDEX badge_events_zone ON badge_events (zone_id);
CALL plantroom.protect('badge_events', 'SELECT, INSERT');

CREATE TABLE stills (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations,
    site_id uuid NOT NULL,
    building_id uuid, -- the zone's at that time
    zone_id uuid NOT NULL,
    camera text NOT NULL CHECK (length(camera) BETWEEN 1 AND 64),
    at timestamptz NOT NULL,
    kind text NOT NULL CHECK (kind IN ('motion', 'alarm', 'request', 'manual')),
    holder_id uuid, -- whose badge was read when it was taken
    picture bytea NOT NULL CHECK (length(picture) BETWEEN 1 AND 2097152), -- as written anew by the hub, never as sent
    thumbnail bytea NOT NULL CHECK (length(thumbnail) BETWEEN 1 AND 131072),
    width integer NOT NULL CHECK (width > 0),
    height integer NOT NULL CHECK (height > 0),
    sha256 bytea NOT NULL CHECK (length(sha256) = 32), -- of the picture
    kept_until timestamptz, -- evidence stays that long; NULL: as long as the register says
    source text NOT NULL, -- who sent it in
    received_at timestamptz NOT NULL,
    UNIQUE (site_id, camera, at),
    FOREIGN KEY (organisation_id, site_id, zone_id) REFERENCES zones (organisation_id, site_id, id),
    FOREIGN KEY (organisation_id, site_id, holder_id) REFERENCES badge_holders (organisation_id, site_id, id),
    FOREIGN KEY (organisation_id, building_id) REFERENCES spaces (organisation_id, id)
);
ALTER TABLE stills ALTER picture SET STORAGE EXTERNAL, ALTER thumbnail SET STORAGE EXTERNAL; -- pictures do not compress again
CREATE INDEX stills_time ON stills (organisation_id, at DESC, id DESC);
CREATE INDEX stills_holder ON stills (holder_id) WHERE holder_id IS NOT NULL;
CREATE INDEX stills_zone ON stills (zone_id);
CALL plantroom.protect('stills', 'SELECT, INSERT, UPDATE (kept_until)');

CREATE FUNCTION plantroom.find_zone_building() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.building_id := (SELECT building_id FROM zones WHERE id = NEW.zone_id);
    RETURN NEW;
END
$$;
CREATE TRIGGER placed BEFORE INSERT ON badge_events FOR EACH ROW EXECUTE FUNCTION plantroom.find_zone_building();
CREATE TRIGGER placed BEFORE INSERT ON stills FOR EACH ROW EXECUTE FUNCTION plantroom.find_zone_building();

-- Sensitive zones.  For reading only: who sends something in needs no clearance to see it.
CREATE POLICY sensitive ON badge_events AS RESTRICTIVE FOR SELECT TO plantroom_app USING (zone_id IN (
    SELECT id FROM zones WHERE NOT sensitive OR plantroom.cleared('see_sensitive_zones', site_id, building_id)));
CREATE POLICY sensitive ON stills AS RESTRICTIVE FOR SELECT TO plantroom_app USING (zone_id IN (
    SELECT id FROM zones WHERE NOT sensitive OR plantroom.cleared('see_sensitive_zones', site_id, building_id)));

CREATE TABLE contacts ( -- whom to speak to at a tenant
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations,
    tenant_id uuid NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    position text NOT NULL DEFAULT '' CHECK (length(position) <= 120), -- what he is there
    phone text NOT NULL DEFAULT '' CHECK (length(phone) <= 40),
    email text NOT NULL DEFAULT '' CHECK (length(email) <= 254),
    added_at timestamptz NOT NULL,
    FOREIGN KEY (organisation_id, tenant_id) REFERENCES tenants (organisation_id, id)
);
CREATE INDEX contacts_tenant ON contacts (tenant_id);
CALL plantroom.protect('contacts', 'SELECT, INSERT, UPDATE (name, position, phone, email), DELETE');
CALL plantroom.place('contacts', 'plantroom.everywhere() OR tenant_id IN (SELECT tenant_id FROM leases)');
CALL plantroom.admit('contacts', 'tenant_id = plantroom.tenant()');
CALL plantroom.written_inside('contacts');

CREATE TABLE bank_accounts ( -- of tenants; the application reads them masked
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations,
    tenant_id uuid NOT NULL,
    holder text NOT NULL CHECK (length(holder) BETWEEN 1 AND 120),
    bank text NOT NULL CHECK (length(bank) BETWEEN 1 AND 120),
    number text NOT NULL CHECK (number ~ '^[0-9A-Z]{8,34}$'), -- no role but the reader has a right on it
    masked text NOT NULL GENERATED ALWAYS AS ('**** ' || right(number, 4)) STORED,
    added_at timestamptz NOT NULL,
    ended_at timestamptz, -- no longer used
    UNIQUE (organisation_id, tenant_id, number),
    FOREIGN KEY (organisation_id, tenant_id) REFERENCES tenants (organisation_id, id)
);
CALL plantroom.protect('bank_accounts',
    'SELECT (id, organisation_id, tenant_id, holder, bank, masked, added_at, ended_at),
     INSERT (id, organisation_id, tenant_id, holder, bank, number, added_at), UPDATE (ended_at)');
CALL plantroom.place('bank_accounts', 'plantroom.everywhere() OR tenant_id IN (SELECT tenant_id FROM leases)');
CALL plantroom.admit('bank_accounts', 'tenant_id = plantroom.tenant()');
CALL plantroom.written_inside('bank_accounts');

-- Whole numbers: for the landlord's people, where they are cleared at a place of the tenant's.
CREATE POLICY reader ON leases FOR SELECT TO plantroom_reader USING (organisation_id = plantroom.organisation());
GRANT SELECT (organisation_id, tenant_id, site_id, building_id) ON leases TO plantroom_reader;
CREATE POLICY reader ON bank_accounts FOR SELECT TO plantroom_reader USING (
    organisation_id = plantroom.organisation() AND plantroom.insider()
    AND (plantroom.cleared('see_bank_accounts', NULL, NULL)
         OR tenant_id IN (SELECT tenant_id FROM leases WHERE plantroom.cleared('see_bank_accounts', site_id, building_id))));
GRANT SELECT (id, organisation_id, tenant_id, number) ON bank_accounts TO plantroom_reader;
CREATE VIEW bank_numbers WITH (security_barrier) AS SELECT organisation_id, id, number FROM bank_accounts;
GRANT CREATE ON SCHEMA public TO plantroom_reader;
ALTER VIEW bank_numbers OWNER TO plantroom_reader;
REVOKE CREATE ON SCHEMA public FROM plantroom_reader;
GRANT SELECT ON bank_numbers TO plantroom_app;

CREATE TABLE privacy_requests ( -- what was asked about a person's data, and what was done
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations,
    kind text NOT NULL CHECK (kind IN ('export', 'erasure')),
    user_ids uuid[] NOT NULL, -- the records that are the person's
    contact_ids uuid[] NOT NULL,
    holder_ids uuid[] NOT NULL,
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    asked_by text NOT NULL,
    asked_at timestamptz NOT NULL,
    approval bigint, -- number of the request for approval of an erasure
    withdrawn_at timestamptz,
    done_by text,
    done_at timestamptz,
    report jsonb, -- how much of which table, without a name
    CHECK (cardinality(user_ids) + cardinality(contact_ids) + cardinality(holder_ids) BETWEEN 1 AND 50),
    CHECK ((kind = 'erasure') = (approval IS NOT NULL)),
    CHECK ((done_at IS NULL) = (done_by IS NULL) AND (done_at IS NULL) = (report IS NULL)),
    CHECK (done_at IS NULL OR withdrawn_at IS NULL)
);
CREATE INDEX privacy_requests_time ON privacy_requests (organisation_id, asked_at DESC);
CALL plantroom.protect('privacy_requests', 'SELECT, INSERT, UPDATE (withdrawn_at, done_by, done_at, report)');

-- Since when somebody may no longer sign in: from then on the period of his record runs.
ALTER TABLE users ADD COLUMN ended_at timestamptz;
CREATE FUNCTION plantroom.note_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.ended_at := CASE WHEN NEW.active THEN NULL ELSE coalesce(OLD.ended_at, now()) END;
    RETURN NEW;
END
$$;
CREATE TRIGGER ended BEFORE UPDATE OF active ON users FOR EACH ROW WHEN (OLD.active <> NEW.active) EXECUTE FUNCTION plantroom.note_end();

-- A text without somebody's names and numbers.  Latin words only where they stand alone, digits however they are spaced, others
-- wherever they stand.
CREATE FUNCTION plantroom.without(said text, words text[], instead text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    word text;
BEGIN
    FOREACH word IN ARRAY words LOOP
        said := regexp_replace(said, CASE
            WHEN word ~ '^\d+$' THEN format('(?<!\d)%s(?!\d)', regexp_replace(word, '(\d)(?=\d)', '\1[ -]?', 'g'))
            WHEN word ~ '^[ -~]+$' THEN format('(?<![A-Za-z0-9])%s(?![A-Za-z0-9])', regexp_replace(word, '([^[:alnum:]])', '\\\1', 'g'))
            ELSE regexp_replace(word, '([^[:alnum:]])', '\\\1', 'g') END, instead, 'gi');
    END LOOP;
    RETURN said;
END
$$;

-- What a person's record is called after an erasure.
CREATE FUNCTION plantroom.pseudonym(id uuid) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 'erased-' || left(replace(id::text, '-', ''), 12);

-- Logins and what they become; to be asked before the users themselves are renamed.
CREATE FUNCTION plantroom.renamed(user_ids uuid[]) RETURNS TABLE (login text, pseudonym text) LANGUAGE sql STABLE
    BEGIN ATOMIC SELECT u.login, plantroom.pseudonym(u.id) FROM public.users u WHERE u.id = ANY(user_ids); END;

-- What the keeper may do where.
CALL plantroom.keep('users', 'SELECT (id, organisation_id, login, name, email, kind, tenant_id, language, skills, zones, active, created_at, ended_at),
    UPDATE (login, name, email, skills, zones, active)');
CALL plantroom.keep('credentials', 'SELECT (organisation_id, user_id, password_set_at, totp_since), DELETE');
CALL plantroom.keep('password_history', 'SELECT (organisation_id, user_id, replaced_at), DELETE');
CALL plantroom.keep('recovery_codes', 'SELECT (organisation_id, user_id, used_at), DELETE');
CALL plantroom.keep('invitations', 'SELECT (organisation_id, user_id, purpose, made_at, expires_at, used_at), DELETE');
CALL plantroom.keep('sessions', 'SELECT (id, organisation_id, user_id, created_at, seen_at, expires_at, address, factors, user_agent), DELETE');
CALL plantroom.keep('grants', 'SELECT, UPDATE (granted_by)');
CALL plantroom.keep('audit_entries', 'SELECT');
CALL plantroom.keep('approval_requests', 'SELECT (id, organisation_id, number, kind, title_zh, title_en, submitted_by, authors, submitted_at, state)');
CALL plantroom.keep('approval_contents', 'SELECT (organisation_id, request_id, round, written_by, written_at)');
CALL plantroom.keep('approval_decisions', 'SELECT (organisation_id, request_id, login, principal, verdict, comment, at)');
CALL plantroom.keep('deputations', 'SELECT (organisation_id, principal_id, deputy_id, start_at, end_at, made_by)');
CALL plantroom.keep('flow_versions', 'SELECT (organisation_id, kind, version, proposed_by, proposed_at, adopted_by, adopted_at)');
CALL plantroom.keep('alarms', 'SELECT (id, organisation_id, name_zh, name_en, raised_at, acknowledged_at, acknowledged_by, comment),
    UPDATE (acknowledged_by, comment)');
CALL plantroom.keep('alarm_events', 'SELECT, UPDATE (actor, note)');
CALL plantroom.keep('work_orders', 'SELECT (id, organisation_id, number, title_zh, title_en, assignee_id, assigned_because_zh, assigned_because_en),
    UPDATE (assigned_because_zh, assigned_because_en)');
CALL plantroom.keep('work_order_events', 'SELECT, UPDATE (actor, note_zh, note_en)');
CALL plantroom.keep('mails', 'SELECT (id, organisation_id, address, language, subject, created_at, sent_at), DELETE');
CALL plantroom.keep('sites', 'SELECT (id, organisation_id, code)');
CALL plantroom.keep('zones', 'SELECT (id, organisation_id, code)');
CALL plantroom.keep('badge_holders', 'SELECT, UPDATE (badge, name), DELETE');
CALL plantroom.keep('badge_events', 'SELECT, DELETE');
CALL plantroom.keep('stills', 'SELECT, DELETE');
CALL plantroom.keep('contacts', 'SELECT, DELETE');
CALL plantroom.keep('tenants', 'SELECT');
CALL plantroom.keep('leases', 'SELECT (id, organisation_id, tenant_id, site_id, code, start_on, end_on)');
CALL plantroom.keep('bank_accounts', 'SELECT (id, organisation_id, tenant_id, holder, bank, masked, added_at, ended_at), DELETE');
CALL plantroom.keep('invoices', 'SELECT (id, organisation_id, tenant_id, number, period_start, issued_on, currency, total)');
CALL plantroom.keep('charges', 'SELECT (organisation_id, tenant_id, invoice_id, kind, period_start, description_zh, description_en, amount)');
CALL plantroom.keep('postings', 'SELECT (id, organisation_id, posted_on, source, source_id, description)');
CALL plantroom.keep('posting_lines', 'SELECT (organisation_id, posting_id, tenant_id)');
CALL plantroom.keep('privacy_requests', 'SELECT, UPDATE (reason, asked_by, done_by), DELETE');
