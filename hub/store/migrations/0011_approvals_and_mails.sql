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
