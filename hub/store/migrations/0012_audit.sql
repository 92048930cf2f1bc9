-- The record says for whom, from where, in which request and why; the hash of format 2 covers all of it (hub/audit/chain.py).
ALTER TABLE audit_entries
    ADD COLUMN format smallint NOT NULL DEFAULT 1 CHECK (format IN (1, 2)), -- 1: what was there before
    ADD COLUMN on_behalf_of text NOT NULL DEFAULT '', -- whose deputy acted
    ADD COLUMN address text NOT NULL DEFAULT '',
    ADD COLUMN request_id text NOT NULL DEFAULT '',
    ADD COLUMN reason text NOT NULL DEFAULT ''; -- where rules/definitions/reasons.yaml asks for one
ALTER TABLE audit_entries ALTER COLUMN format SET DEFAULT 2; -- nobody else chooses it: no role may insert it

-- Who writes an act chooses neither its time nor its format nor its place in the chain.
GRANT INSERT (on_behalf_of, address, request_id, reason) ON audit_entries TO plantroom_app, plantroom_door, plantroom_ingest;

CREATE INDEX audit_time ON audit_entries (organisation_id, at, id);
CREATE INDEX audit_actor ON audit_entries (organisation_id, actor, at, id);
CREATE INDEX audit_request ON audit_entries (request_id) WHERE request_id <> '';

-- What changed about a point, in the form in which every change is recorded.
CREATE OR REPLACE FUNCTION plantroom.record_point() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_entries (organisation_id, actor, action, entity, entity_id, details)
    SELECT NEW.organisation_id, current_user, 'changed', 'point', NEW.id,
           jsonb_build_object('changed', jsonb_object_agg(was.key, jsonb_build_array(was.value, now.value)))
    FROM jsonb_each(to_jsonb(OLD)) was JOIN jsonb_each(to_jsonb(NEW)) now USING (key)
    WHERE was.value <> now.value AND key IN ('kind', 'unit', 'resolution', 'modulus');
    RETURN NULL;
END
$$;
