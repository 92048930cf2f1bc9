-- name: put_tenant
INSERT INTO tenants (organisation_id, code, name_zh, name_en, tax_number, address)
VALUES (plantroom.organisation(), %(code)s, %(name_zh)s, %(name_en)s, %(tax_number)s, %(address)s)
ON CONFLICT (organisation_id, code) DO UPDATE SET name_zh = excluded.name_zh, name_en = excluded.name_en,
    tax_number = excluded.tax_number, address = excluded.address;

-- name: put_lease
INSERT INTO leases (organisation_id, site_id, tenant_id, code, start_on, end_on, rent_per_m2_month, rent_tax,
                    electricity_tariff, water_tariff, due_days)
VALUES (plantroom.organisation(), %(site)s, (SELECT id FROM tenants WHERE code = %(tenant)s), %(code)s, %(start)s,
        %(end)s, %(rent_per_m2_month)s, %(rent_tax)s, %(electricity_tariff)s, %(water_tariff)s, %(due_days)s)
ON CONFLICT (organisation_id, code) DO UPDATE SET end_on = excluded.end_on,
    rent_per_m2_month = excluded.rent_per_m2_month, rent_tax = excluded.rent_tax,
    electricity_tariff = excluded.electricity_tariff, water_tariff = excluded.water_tariff,
    due_days = excluded.due_days
RETURNING id;

-- name: put_lease_unit
INSERT INTO lease_units (organisation_id, lease_id, space_id, area_m2)
SELECT plantroom.organisation(), %(lease)s, s.id, s.area_m2 FROM spaces s
WHERE s.site_id = %(site)s AND s.code = %(unit)s AND s.kind = 'unit'
ON CONFLICT DO NOTHING;

-- name: tenants
SELECT t.id, t.code, t.name_zh, t.name_en, t.tax_number, t.address, count(l.id)::int AS leases
FROM tenants t LEFT JOIN leases l ON l.tenant_id = t.id
WHERE %(id)s::uuid IS NULL OR t.id = %(id)s
GROUP BY t.id ORDER BY t.code;

-- name: leases
SELECT l.id, l.site_id, l.tenant_id, l.code, l.start_on, l.end_on, l.rent_per_m2_month, l.rent_tax, l.proration,
       l.electricity_tariff, l.water_tariff, l.due_days, t.code AS tenant_code, t.name_zh AS tenant_zh,
       t.name_en AS tenant_en, array_agg(s.code ORDER BY s.code) AS units, sum(u.area_m2) AS area_m2
FROM leases l
JOIN tenants t ON t.id = l.tenant_id
JOIN lease_units u ON u.lease_id = l.id
JOIN spaces s ON s.id = u.space_id
WHERE (%(id)s::uuid IS NULL OR l.id = %(id)s)
  AND (%(site)s::uuid IS NULL OR l.site_id = %(site)s)
  AND (%(tenant)s::uuid IS NULL OR l.tenant_id = %(tenant)s)
  AND (%(first)s::date IS NULL OR (l.end_on >= %(first)s AND l.start_on < %(past)s::date))
GROUP BY l.id, t.id ORDER BY l.code;

-- name: lease_units
SELECT s.id AS space_id, s.code, u.area_m2 FROM lease_units u JOIN spaces s ON s.id = u.space_id
WHERE u.lease_id = %(lease)s ORDER BY s.code;

-- name: lease_meters
SELECT d.id AS device_id, d.code, d.name_zh, d.name_en, d.commodity, trim_scale(d.multiplier) AS multiplier,
       coalesce(array_agg(s.code ORDER BY s.code) FILTER (WHERE u.space_id IS NULL), '{}') AS stray
FROM devices d
JOIN device_units du ON du.device_id = d.id
JOIN spaces s ON s.id = du.space_id
LEFT JOIN lease_units u ON u.space_id = du.space_id AND u.lease_id = %(lease)s
WHERE d.commodity IS NOT NULL
GROUP BY d.id HAVING bool_or(u.space_id IS NOT NULL)
ORDER BY d.commodity, d.code;

-- name: tenant_of_code
SELECT t.id, t.code, t.name_zh, t.name_en, t.tax_number, t.address, count(l.id)::int AS leases
FROM tenants t LEFT JOIN leases l ON l.tenant_id = t.id
WHERE t.code = %(code)s
GROUP BY t.id;

-- name: contacts
SELECT id, name, position, phone, email FROM contacts WHERE tenant_id = %(tenant)s ORDER BY name, id LIMIT %(most)s;

-- name: contact
SELECT id, name, position, phone, email FROM contacts WHERE id = %(id)s;

-- name: add_contact
INSERT INTO contacts (id, organisation_id, tenant_id, name, position, phone, email, added_at)
VALUES (%(id)s, plantroom.organisation(), %(tenant)s, %(name)s, %(position)s, %(phone)s, %(email)s, %(now)s);

-- name: change_contact
UPDATE contacts SET name = %(name)s, position = %(position)s, phone = %(phone)s, email = %(email)s WHERE id = %(id)s;

-- name: remove_contact
DELETE FROM contacts WHERE id = %(id)s;

-- name: bank_accounts
SELECT id, holder, bank, masked, added_at, ended_at FROM bank_accounts
WHERE tenant_id = %(tenant)s ORDER BY ended_at IS NOT NULL, added_at, id;

-- name: add_bank_account
INSERT INTO bank_accounts (id, organisation_id, tenant_id, holder, bank, number, added_at)
VALUES (%(id)s, plantroom.organisation(), %(tenant)s, %(holder)s, %(bank)s, %(number)s, %(now)s);

-- name: end_bank_account
UPDATE bank_accounts SET ended_at = %(now)s WHERE id = %(id)s AND ended_at IS NULL;

-- name: whole_number
-- Through the reader's view alone; where the clearance lacks, there is no row.
SELECT n.number FROM bank_numbers n JOIN bank_accounts a ON a.id = n.id WHERE n.id = %(id)s;
