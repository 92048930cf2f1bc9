-- The keeper (migration 0013) at the ways in that migration 0014 brought.
CALL plantroom.keep('api_tokens', 'SELECT (id, organisation_id, user_id, name, prefix, rights, created_at, created_by, expires_at, last_used_at,
    last_used_address, revoked_at, revoked_by), UPDATE (created_by, revoked_by), DELETE');
CALL plantroom.keep('identities', 'SELECT (organisation_id, user_id, issuer, subject, linked_at, linked_by, last_used_at), UPDATE (linked_by), DELETE');
