-- Mails that wait to be sent.  A body may carry a link with a secret: nobody but the sender, under a role of its own, can
-- read it, and it goes when the mail has gone.
DO $$
BEGIN
    BEGIN
        CREATE ROLE plantroom_post NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
    GRANT plantroom_post TO plantroom_hub;
END
$$;
GRANT USAGE ON SCHEMA public, plantroom TO plantroom_post;

CREATE TABLE mails (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations,
    address text NOT NULL CHECK (length(address) BETWEEN 3 AND 254),
    language text NOT NULL CHECK (language IN ('zh', 'en')),
    subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 200),
    body text, -- NULL as soon as it was sent or given up
    path text, -- the page that its link leads to, under the public address; NULL with the body
    created_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL, -- when it is tried next
    attempts integer NOT NULL DEFAULT 0,
    last_error text NOT NULL DEFAULT '',
    sent_at timestamptz,
    given_up_at timestamptz,
    CHECK ((sent_at IS NULL AND given_up_at IS NULL) = (body IS NOT NULL)),
    CHECK (path IS NULL OR path LIKE '/%')
);
CREATE INDEX mails_due ON mails (due_at) WHERE sent_at IS NULL AND given_up_at IS NULL;
CREATE INDEX mails_old ON mails (created_at);
CALL plantroom.protect('mails', 'INSERT');
GRANT SELECT (id, organisation_id, address, language, subject, created_at, due_at, attempts, last_error, sent_at, given_up_at)
    ON mails TO plantroom_app;
CREATE POLICY door ON mails FOR INSERT TO plantroom_door WITH CHECK (true); -- who forgot his password is not signed in
GRANT INSERT ON mails TO plantroom_door;
CREATE POLICY post ON mails TO plantroom_post USING (true);
GRANT SELECT, UPDATE (body, path, due_at, attempts, last_error, sent_at, given_up_at), DELETE ON mails TO plantroom_post;

-- Approvals: an organisation's own flows, requests, what was seen, what was decided, who stands in for whom.
CREATE TABLE flow_versions ( -- an organisation's own versions; those that come with the program are files
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations,
    kind text NOT NULL CHECK (length(kind) BETWEEN 1 AND 64), -- of subject
    version text NOT NULL,
    valid_from date NOT NULL,
    definition jsonb NOT NULL, -- the whole flow, with just this version
    written text NOT NULL, -- the text that people wrote
    proposed_by text NOT NULL,
    proposed_at timestamptz NOT NULL,
    adopted_by text,
    adopted_at timestamptz, -- NULL: proposed only
    CHECK ((adopted_at IS NULL) = (adopted_by IS NULL)),
    UNIQUE (organisation_id, id)
);
CREATE UNIQUE INDEX flow_versions_name ON flow_versions (organisation_id, kind, version) WHERE adopted_at IS NOT NULL;
CREATE UNIQUE INDEX flow_versions_day ON flow_versions (organisation_id, kind, valid_from) WHERE adopted_at IS NOT NULL;
CALL plantroom.protect('flow_versions', 'SELECT, INSERT, UPDATE (adopted_by, adopted_at)');

CREATE TABLE approval_requests (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations,
    number bigint NOT NULL,
    kind text NOT NULL,
    subject_id text NOT NULL CHECK (length(subject_id) BETWEEN 1 AND 100), -- what it is about, by its identity
    title_zh text NOT NULL CHECK (length(title_zh) BETWEEN 1 AND 200),
    title_en text NOT NULL CHECK (length(title_en) BETWEEN 1 AND 200),
    link text NOT NULL DEFAULT '' CHECK (link ~ '^(/([^/].*)?)?$'), -- the subject's own page
    site_id uuid, -- NULL: of the whole organisation
    building_id uuid,
    amount numeric,
    currency text,
    attributes jsonb NOT NULL DEFAULT '{}',
    flow jsonb NOT NULL, -- the version that was in force on the day of submission, and governs to the end
    submitted_by text NOT NULL, -- login, as all people below
    authors text[] NOT NULL, -- who submitted or changed it; none of them decides
    submitted_at timestamptz NOT NULL,
    content_hash text NOT NULL CHECK (length(content_hash) = 64),
    round integer NOT NULL CHECK (round > 0), -- every change of the content begins another one
    asked_at timestamptz NOT NULL, -- when the round began
    state text NOT NULL CHECK (state IN ('open', 'approved', 'used', 'rejected', 'withdrawn', 'expired', 'superseded')),
    step integer NOT NULL, -- that waits, or was the last: place in the version's steps
    since timestamptz, -- when that step began
    needed integer NOT NULL,
    reminded boolean NOT NULL,
    escalated boolean NOT NULL,
    short boolean NOT NULL, -- too few people were there
    ended_at timestamptz,
    usable_until timestamptz, -- of an approval: first moment at which it no longer serves
    used_at timestamptz,
    previous_id uuid, -- the request that this one was submitted in place of
    UNIQUE (organisation_id, number),
    UNIQUE (organisation_id, id),
    UNIQUE (organisation_id, id, submitted_by),
    FOREIGN KEY (organisation_id, site_id) REFERENCES sites (organisation_id, id),
    FOREIGN KEY (organisation_id, site_id, building_id) REFERENCES spaces (organisation_id, site_id, id),
    FOREIGN KEY (organisation_id, previous_id) REFERENCES approval_requests (organisation_id, id),
    CHECK (building_id IS NULL OR site_id IS NOT NULL),
    CHECK ((amount IS NULL) = (currency IS NULL)),
    CHECK ((state = 'open') = (ended_at IS NULL)),
    CHECK ((state = 'used') = (used_at IS NOT NULL)),
    CHECK (submitted_by = ANY(authors))
);
CREATE UNIQUE INDEX approval_requests_living ON approval_requests (organisation_id, kind, subject_id) WHERE state IN ('open', 'approved');
CREATE INDEX approval_requests_submitter ON approval_requests (organisation_id, submitted_by, number DESC);
CREATE INDEX approval_requests_open ON approval_requests (organisation_id) WHERE state IN ('open', 'approved');
CALL plantroom.protect('approval_requests',
    'SELECT, INSERT, UPDATE (site_id, building_id, amount, currency, attributes, authors, content_hash, round, asked_at, state,
     step, since, needed, reminded, escalated, short, ended_at, usable_until, used_at, title_zh, title_en)');

CREATE TABLE approval_contents ( -- what approvers saw in each round
    organisation_id uuid NOT NULL REFERENCES organisations,
    request_id uuid NOT NULL,
    round integer NOT NULL,
    content json NOT NULL, -- in the order in which it was shown
    content_hash text NOT NULL,
    written_by text NOT NULL,
    written_at timestamptz NOT NULL,
    PRIMARY KEY (request_id, round),
    UNIQUE (organisation_id, request_id, round, content_hash),
    FOREIGN KEY (organisation_id, request_id) REFERENCES approval_requests (organisation_id, id)
);
CALL plantroom.protect('approval_contents', 'SELECT, INSERT');
CALL plantroom.place('approval_contents', 'plantroom.everywhere() OR request_id IN (SELECT id FROM approval_requests)');

CREATE TABLE approval_decisions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES organisations,
    request_id uuid NOT NULL,
    submission_id uuid NOT NULL, -- made by whoever submits: a retry is harmless
    round integer NOT NULL,
    step integer NOT NULL,
    content_hash text NOT NULL, -- of what was seen
    login text NOT NULL,
    principal text, -- on whose behalf; NULL: his own
    verdict text NOT NULL CHECK (verdict IN ('approve', 'reject')),
    comment text NOT NULL CHECK (length(comment) <= 2000 AND (verdict = 'approve' OR comment <> '')),
    at timestamptz NOT NULL,
    submitted_by text NOT NULL, -- of the request, for the wall below
    UNIQUE (request_id, submission_id),
    UNIQUE (request_id, round, step, login),
    FOREIGN KEY (organisation_id, request_id, submitted_by) REFERENCES approval_requests (organisation_id, id, submitted_by),
    FOREIGN KEY (organisation_id, request_id, round, content_hash)
        REFERENCES approval_contents (organisation_id, request_id, round, content_hash),
    CHECK (login <> submitted_by AND principal IS DISTINCT FROM submitted_by AND principal IS DISTINCT FROM login)
);
CALL plantroom.protect('approval_decisions', 'SELECT, INSERT');
CALL plantroom.place('approval_decisions', 'plantroom.everywhere() OR request_id IN (SELECT id FROM approval_requests)');
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON approval_contents FOR EACH ROW EXECUTE FUNCTION plantroom.refuse_change();
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON approval_decisions FOR EACH ROW EXECUTE FUNCTION plantroom.refuse_change();
CREATE TRIGGER kept BEFORE TRUNCATE ON approval_contents FOR EACH STATEMENT EXECUTE FUNCTION plantroom.refuse_change();
CREATE TRIGGER kept BEFORE TRUNCATE ON approval_decisions FOR EACH STATEMENT EXECUTE FUNCTION plantroom.refuse_change();

CREATE TABLE deputations ( -- a deputy decides on behalf of a principal
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations,
    principal_id uuid NOT NULL,
    deputy_id uuid NOT NULL,
    start_at timestamptz NOT NULL,
    end_at timestamptz NOT NULL, -- first moment after
    made_by text NOT NULL,
    made_at timestamptz NOT NULL,
    FOREIGN KEY (organisation_id, principal_id) REFERENCES users (organisation_id, id),
    FOREIGN KEY (organisation_id, deputy_id) REFERENCES users (organisation_id, id),
    CHECK (principal_id <> deputy_id),
    CHECK (end_at >= start_at)
);
CREATE INDEX deputations_end ON deputations (organisation_id, end_at);
CALL plantroom.protect('deputations', 'SELECT, INSERT, UPDATE (end_at)');

-- Who of other organisations of the group holds a role over the whole group, and so may be asked here: just what asking needs.
CREATE FUNCTION plantroom.group_people(at timestamptz) RETURNS TABLE (login text, name text, email text, language text, role text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT u.login, u.name, u.email, u.language, g.role
    FROM organisations here
    JOIN organisations there ON there.group_id = here.group_id AND there.id <> here.id AND there.closed_at IS NULL
    JOIN users u ON u.organisation_id = there.id AND u.active AND u.kind = 'staff'
    JOIN grants g ON g.user_id = u.id AND g.scope = 'group' AND (g.since IS NULL OR g.since <= at)
         AND (g.until IS NULL OR g.until > at)
    WHERE here.id = plantroom.organisation() AND plantroom.insider()
$$;
REVOKE ALL ON FUNCTION plantroom.group_people(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION plantroom.group_people(timestamptz) TO plantroom_app;
