-- Ways in beside the password: API tokens for programs, identities at another provider for people; and at which site a
-- session looks.

CREATE TABLE api_tokens (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations,
    user_id uuid NOT NULL, -- whose it is: a service account's, or a person's own
    name text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,39}$'), -- stands in the audit record behind the login
    prefix text NOT NULL, -- the secret's first characters, by which a list and its owner know it again
    secret_hash bytea NOT NULL UNIQUE CHECK (length(secret_hash) = 32), -- sha256: a stolen table opens nothing
    rights text[] NOT NULL CHECK (cardinality(rights) BETWEEN 1 AND 40), -- at most these, and only while the owner has them
    site_id uuid, -- NULL: wherever the owner may
    building_id uuid,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    expires_at timestamptz NOT NULL,
    last_used_at timestamptz, -- to the minute
    last_used_address text NOT NULL DEFAULT '',
    refused_at timestamptz, -- when it was last tried in vain, to the hour
    revoked_at timestamptz,
    revoked_by text,
    FOREIGN KEY (organisation_id, user_id) REFERENCES users (organisation_id, id) ON DELETE CASCADE,
    FOREIGN KEY (organisation_id, site_id) REFERENCES sites (organisation_id, id),
    FOREIGN KEY (organisation_id, site_id, building_id) REFERENCES spaces (organisation_id, site_id, id),
    CHECK (building_id IS NULL OR site_id IS NOT NULL),
    CHECK (expires_at > created_at AND expires_at <= created_at + interval '366 days'),
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL))
);
CREATE UNIQUE INDEX api_tokens_name ON api_tokens (user_id, name) WHERE revoked_at IS NULL;
CALL plantroom.protect('api_tokens', 'INSERT, UPDATE (revoked_at, revoked_by)');
DROP POLICY place ON api_tokens; -- who holds what is the organisation's business as a whole
GRANT SELECT (id, organisation_id, user_id, name, prefix, rights, site_id, building_id, created_at, created_by, expires_at,
              last_used_at, last_used_address, refused_at, revoked_at, revoked_by) ON api_tokens TO plantroom_app;
CREATE POLICY door ON api_tokens TO plantroom_door USING (true);
GRANT SELECT, UPDATE (last_used_at, last_used_address, refused_at) ON api_tokens TO plantroom_door;

CREATE TABLE identities ( -- who somebody is at an identity provider: the pair of issuer and subject, never a mail address
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations,
    user_id uuid NOT NULL,
    issuer text NOT NULL CHECK (length(issuer) BETWEEN 1 AND 500),
    subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 255),
    linked_at timestamptz NOT NULL,
    linked_by text NOT NULL,
    last_used_at timestamptz,
    UNIQUE (organisation_id, issuer, subject),
    UNIQUE (user_id, issuer),
    FOREIGN KEY (organisation_id, user_id) REFERENCES users (organisation_id, id) ON DELETE CASCADE
);
CALL plantroom.protect('identities', 'SELECT');
CREATE POLICY door ON identities TO plantroom_door USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE (last_used_at), DELETE ON identities TO plantroom_door;

CREATE TABLE departures ( -- browsers that were sent to a provider and have not come back; each comes back once
    state_hash bytea PRIMARY KEY CHECK (length(state_hash) = 32),
    browser_hash bytea NOT NULL CHECK (length(browser_hash) = 32), -- of the door's cookie: nobody else's browser finishes it
    provider text NOT NULL,
    nonce text NOT NULL,
    verifier text NOT NULL,
    user_id uuid REFERENCES users ON DELETE CASCADE, -- who links the identity to his account
    invitation_hash bytea, -- of the invitation that is answered with the identity; neither: somebody signs in
    again boolean NOT NULL, -- he has to prove anew there who he is
    back text NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX departures_end ON departures (expires_at);
ALTER TABLE departures ENABLE ROW LEVEL SECURITY;
ALTER TABLE departures FORCE ROW LEVEL SECURITY;
CREATE POLICY door ON departures TO plantroom_door USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, DELETE ON departures TO plantroom_door;

-- The one site at which a session looks; NULL: all that its user may see.  A wish, never a right: no reference.
ALTER TABLE sessions ADD COLUMN site_id uuid;
GRANT UPDATE (site_id) ON sessions TO plantroom_door;
ALTER TABLE users ADD COLUMN seen_at timestamptz; -- when he last asked for something, to the minute
GRANT UPDATE (seen_at) ON users TO plantroom_door;

-- What the operator of the installation does to an organisation is recorded in it like everything else.
CREATE POLICY owner ON audit_entries FOR INSERT TO CURRENT_USER WITH CHECK (true);

-- A role that has not begun yet is taken back without a trace but the record's; one that has begun ends.
GRANT DELETE ON grants TO plantroom_app;
CREATE POLICY not_begun ON grants AS RESTRICTIVE FOR DELETE TO plantroom_app USING (since > now() AND scope <> 'group');
