-- name: put
INSERT INTO mails (organisation_id, address, language, subject, body, path, created_at, due_at)
VALUES (%(organisation)s, %(address)s, %(language)s, %(subject)s, %(body)s, %(path)s, %(now)s, %(now)s);

-- name: recent
SELECT id, address, subject, created_at, due_at, attempts, last_error, sent_at, given_up_at
FROM mails ORDER BY created_at DESC, id LIMIT %(most)s;

-- name: claim
-- Whoever claims a mail has until its new due time to say what became of it; a sender that died is followed by another.
UPDATE mails SET attempts = attempts + 1, due_at = %(until)s
WHERE id IN (SELECT id FROM mails WHERE due_at <= %(now)s AND sent_at IS NULL AND given_up_at IS NULL
             ORDER BY due_at, id LIMIT %(most)s FOR UPDATE SKIP LOCKED)
RETURNING id, address, language, subject, body, path, created_at, attempts;

-- name: sent
UPDATE mails SET sent_at = %(now)s, body = NULL, path = NULL, last_error = '' WHERE id = %(id)s AND sent_at IS NULL;

-- name: failed
UPDATE mails SET last_error = %(error)s, due_at = %(due_at)s WHERE id = %(id)s AND sent_at IS NULL;

-- name: give_up
UPDATE mails SET last_error = %(error)s, given_up_at = %(now)s, body = NULL, path = NULL
WHERE id = %(id)s AND sent_at IS NULL;

-- name: drop_old
DELETE FROM mails WHERE created_at < %(before)s AND (sent_at IS NOT NULL OR given_up_at IS NOT NULL);
