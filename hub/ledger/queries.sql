-- name: open_account
INSERT INTO accounts (organisation_id, code, name_zh, name_en)
VALUES (plantroom.organisation(), %(code)s, %(name_zh)s, %(name_en)s)
ON CONFLICT (organisation_id, code) DO NOTHING;

-- name: add_posting
INSERT INTO postings (organisation_id, posted_on, currency, source, source_id, description, lines)
VALUES (plantroom.organisation(), %(posted_on)s, %(currency)s, %(source)s, %(source_id)s, %(description)s, %(lines)s)
RETURNING id;

-- name: add_line
INSERT INTO posting_lines (organisation_id, posting_id, line, account, debit, credit, tenant_id, lease_id)
VALUES (plantroom.organisation(), %(posting)s, %(line)s, %(account)s, %(debit)s, %(credit)s, %(tenant)s, %(lease)s);

-- name: lines_of
SELECT p.id AS posting_id, p.posted_on, p.currency, l.line, l.account, a.name_zh, a.name_en, l.debit, l.credit
FROM postings p
JOIN posting_lines l ON l.posting_id = p.id
JOIN accounts a ON a.organisation_id = l.organisation_id AND a.code = l.account
WHERE p.source = %(source)s AND p.source_id = %(source_id)s ORDER BY p.posted_on, p.id, l.line;

-- name: trial_balance
SELECT l.account, a.name_zh, a.name_en, p.currency, sum(l.debit) AS debit, sum(l.credit) AS credit,
       sum(l.debit) - sum(l.credit) AS balance
FROM posting_lines l
JOIN postings p ON p.id = l.posting_id
JOIN accounts a ON a.organisation_id = l.organisation_id AND a.code = l.account
GROUP BY l.account, a.name_zh, a.name_en, p.currency ORDER BY l.account, p.currency;
