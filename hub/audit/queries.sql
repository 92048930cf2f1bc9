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

-- name: state
SELECT coalesce((SELECT max(sealed_number) FROM audit_entries), 0) AS sealed,
       (SELECT count(*) FROM audit_entries WHERE sealed_number IS NULL) AS waiting,
       (SELECT hash FROM audit_entries WHERE sealed_number = %(number)s) AS anchored_hash;

-- name: span
SELECT min(sealed_number) AS first, max(sealed_number) AS last FROM audit_entries
WHERE sealed_number IS NOT NULL AND at >= %(since)s AND at < %(until)s;

-- name: concerned
SELECT DISTINCT organisation_id FROM audit_entries WHERE sealed_number BETWEEN %(first)s AND %(last)s ORDER BY 1;

-- name: seal_of
SELECT sealed_number, hash FROM audit_entries WHERE sealed_number = %(number)s;

-- name: search
SELECT id, at, actor, on_behalf_of, address, request_id, action, entity, entity_id, details, reason, sealed_number
FROM audit_entries
WHERE organisation_id = plantroom.organisation()
  AND (%(actor)s = '' OR actor = %(actor)s)
  AND (%(entity)s = '' OR entity = %(entity)s)
  AND (%(entity_id)s = '' OR entity_id = %(entity_id)s)
  AND (%(action)s = '' OR action = %(action)s)
  AND (%(request)s = '' OR request_id = %(request)s)
  AND (%(since)s::timestamptz IS NULL OR at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR at < %(until)s)
  AND (%(text)s = '' OR details::text ILIKE %(text)s OR reason ILIKE %(text)s OR on_behalf_of ILIKE %(text)s)
  AND (%(before)s::bigint IS NULL OR (at, id) < (%(before_at)s::timestamptz, %(before)s::bigint))
ORDER BY at DESC, id DESC
LIMIT %(most)s;

-- name: time_of
SELECT at FROM audit_entries WHERE id = %(id)s AND organisation_id = plantroom.organisation();
