-- name: record
INSERT INTO audit_entries (organisation_id, actor, on_behalf_of, address, request_id, action, entity, entity_id, details, reason)
VALUES (%(organisation)s, %(actor)s, %(on_behalf_of)s, %(address)s, %(request_id)s, %(action)s, %(entity)s, %(entity_id)s,
        %(details)s, %(reason)s);

-- name: of_entity
SELECT id, at, actor, on_behalf_of, address, request_id, action, entity, entity_id, details, reason, sealed_number
FROM audit_entries
WHERE organisation_id = plantroom.organisation() AND entity = %(entity)s AND entity_id = %(entity_id)s
ORDER BY id DESC
LIMIT %(most)s;

-- name: lock_chain
SELECT pg_advisory_xact_lock(hashtext('plantroom.audit'));

-- name: last_seal
SELECT sealed_number, hash FROM audit_entries WHERE sealed_number IS NOT NULL ORDER BY sealed_number DESC LIMIT 1;

-- name: unsealed
SELECT id, organisation_id::text, at, actor, on_behalf_of, address, request_id, action, entity, entity_id, details::text, reason,
       format
FROM audit_entries WHERE sealed_number IS NULL ORDER BY id LIMIT %(most)s;

-- name: seal
UPDATE audit_entries SET sealed_number = %(number)s, hash = %(hash)s WHERE id = %(id)s;

-- name: sealed_after
SELECT id, organisation_id::text, at, actor, on_behalf_of, address, request_id, action, entity, entity_id, details::text, reason,
       format, sealed_number, hash
FROM audit_entries WHERE sealed_number > %(after)s ORDER BY sealed_number LIMIT %(most)s;
