-- name: open_organisation
INSERT INTO organisations (code, name_zh, name_en) VALUES (%(code)s, %(name_zh)s, %(name_en)s)
ON CONFLICT (code) DO UPDATE SET name_zh = excluded.name_zh, name_en = excluded.name_en
RETURNING id;

-- name: put_site
INSERT INTO sites (organisation_id, code, name_zh, name_en, timezone, currency, latitude, longitude, bill_trusted_only)
VALUES (plantroom.organisation(), %(code)s, %(name_zh)s, %(name_en)s, %(timezone)s, %(currency)s, %(latitude)s,
        %(longitude)s, %(bill_trusted_only)s)
ON CONFLICT (code) DO UPDATE SET name_zh = excluded.name_zh, name_en = excluded.name_en, timezone = excluded.timezone,
    latitude = excluded.latitude, longitude = excluded.longitude, bill_trusted_only = excluded.bill_trusted_only
RETURNING id;

-- name: put_space
INSERT INTO spaces (organisation_id, site_id, parent_id, kind, code, name_zh, name_en, level, area_m2)
VALUES (plantroom.organisation(), %(site)s, (SELECT id FROM spaces WHERE site_id = %(site)s AND code = %(parent)s),
        %(kind)s, %(code)s, %(name_zh)s, %(name_en)s, %(level)s, %(area_m2)s)
ON CONFLICT (site_id, code) DO UPDATE SET parent_id = excluded.parent_id, name_zh = excluded.name_zh,
    name_en = excluded.name_en, level = excluded.level, area_m2 = excluded.area_m2;

-- name: put_gateway
INSERT INTO gateways (organisation_id, site_id, code) VALUES (plantroom.organisation(), %(site)s, %(code)s)
ON CONFLICT (site_id, code) DO NOTHING;

-- name: put_device
INSERT INTO devices (organisation_id, site_id, gateway_id, space_id, code, name_zh, name_en, profile, role, commodity,
                     multiplier)
VALUES (plantroom.organisation(), %(site)s, (SELECT id FROM gateways WHERE site_id = %(site)s AND code = %(gateway)s),
        (SELECT id FROM spaces WHERE site_id = %(site)s AND code = %(space)s), %(code)s, %(name_zh)s, %(name_en)s,
        %(profile)s, %(role)s, %(commodity)s, %(multiplier)s)
ON CONFLICT (organisation_id, code) DO UPDATE SET gateway_id = excluded.gateway_id, space_id = excluded.space_id,
    name_zh = excluded.name_zh, name_en = excluded.name_en, profile = excluded.profile, role = excluded.role,
    commodity = excluded.commodity, multiplier = excluded.multiplier;

-- name: set_parent
UPDATE devices SET parent_id = p.id FROM devices p
WHERE devices.site_id = %(site)s AND devices.code = %(code)s AND p.site_id = %(site)s AND p.code = %(parent)s;

-- name: put_device_unit
INSERT INTO device_units (organisation_id, device_id, space_id)
SELECT plantroom.organisation(), d.id, s.id FROM devices d, spaces s
WHERE d.site_id = %(site)s AND d.code = %(device)s AND s.site_id = %(site)s AND s.code = %(unit)s
ON CONFLICT DO NOTHING;

-- name: sites
SELECT id, code, name_zh, name_en, timezone, currency, bill_trusted_only FROM sites ORDER BY code;

-- name: spaces
SELECT id, site_id, parent_id, kind, code, name_zh, name_en, level, area_m2 FROM spaces
WHERE site_id = %(site)s ORDER BY level, code;

-- name: gateways
SELECT g.id, g.site_id, g.code, g.online, g.born_at, g.seen_at, g.depth, g.committed, g.clock_step_ms, g.rival_spool,
       g.rival_seen_at, g.spool_percent, g.dropped, g.dropped_at, g.skew_ms,
       g.version, count(d.id)::int AS devices, count(d.id) FILTER (WHERE d.online)::int AS devices_online,
       c.ends_at AS certificate_ends_at,
       coalesce(c.ends_at < now() + interval '30 days', false) AS certificate_ends_soon,
       CASE WHEN c.ends_at IS NULL THEN c.revoked_at END AS certificate_revoked_at,
       k.sha256 AS configuration, k.state AS configuration_state, coalesce(k.reason, '') AS configuration_reason,
       w.sha256 AS configuration_wanted, w.set_at AS configuration_wanted_at
FROM gateways g LEFT JOIN devices d ON d.gateway_id = g.id
CROSS JOIN LATERAL (
    SELECT max(not_after) FILTER (WHERE revoked_at IS NULL) AS ends_at, max(revoked_at) AS revoked_at
    FROM gateway_certificates WHERE gateway_id = g.id) c
LEFT JOIN gateway_configuration_states k ON k.gateway_id = g.id
LEFT JOIN LATERAL (
    SELECT sha256, set_at FROM gateway_configurations WHERE gateway_id = g.id ORDER BY number DESC LIMIT 1) w ON true
GROUP BY g.id, c.ends_at, c.revoked_at, k.gateway_id, w.sha256, w.set_at ORDER BY g.code;

-- name: devices
SELECT d.id, d.site_id, d.gateway_id, d.space_id, d.parent_id, d.code, d.name_zh, d.name_en, d.profile, d.role,
       d.commodity, d.multiplier, d.online, d.online_changed_at, s.code AS space,
       coalesce(b.code, f.code, s.code) AS building
FROM devices d
JOIN spaces s ON s.id = d.space_id
LEFT JOIN spaces f ON f.id = s.parent_id
LEFT JOIN spaces b ON b.id = f.parent_id
WHERE (%(site)s::uuid IS NULL OR d.site_id = %(site)s)
ORDER BY d.code;

-- name: points
SELECT id, device_id, code, measure, kind, unit, resolution, modulus FROM points
WHERE (%(device)s::uuid IS NULL OR device_id = %(device)s) ORDER BY code;

-- name: quarantined
SELECT reason, count(*)::int AS n, max(received_at) AS last_at, (array_agg(topic ORDER BY received_at DESC))[1] AS topic
FROM quarantine WHERE organisation_id = plantroom.organisation() AND received_at >= %(since)s
GROUP BY reason ORDER BY n DESC, reason LIMIT %(most)s;

-- name: owner_of_site
SELECT organisation_id FROM sites WHERE code = %(site)s;

-- name: owners_of_sites
SELECT coalesce(array_agg(DISTINCT organisation_id), '{}') FROM sites;

-- name: certified_gateways
SELECT g.id, s.code AS site, g.code AS gateway FROM gateways g JOIN sites s ON s.id = g.site_id ORDER BY s.code, g.code;

-- name: lock_gateway
SELECT g.id, s.code AS site, g.code AS gateway FROM gateways g JOIN sites s ON s.id = g.site_id
WHERE s.code = %(site)s AND g.code = %(gateway)s FOR NO KEY UPDATE OF g;

-- name: wanted_sha256
SELECT sha256 FROM gateway_configurations WHERE gateway_id = %(gateway)s ORDER BY number DESC LIMIT 1;

-- name: goes_by
SELECT sha256 FROM gateway_configuration_states WHERE gateway_id = %(gateway)s;

-- name: put_configuration
INSERT INTO gateway_configurations (organisation_id, gateway_id, number, sha256, body, note, set_at)
VALUES (plantroom.organisation(), %(gateway)s, %(number)s, %(sha256)s, %(body)s, %(note)s, %(now)s);

-- name: put_configuration_state
INSERT INTO gateway_configuration_states AS s (organisation_id, gateway_id, number, sha256, state, reason, changed_at)
VALUES (plantroom.organisation(), %(gateway)s, %(number)s, %(sha256)s, %(state)s, %(reason)s, %(now)s)
ON CONFLICT (gateway_id) DO UPDATE SET number = excluded.number, sha256 = excluded.sha256, state = excluded.state,
    reason = excluded.reason, changed_at = excluded.changed_at
WHERE (s.number, s.sha256, s.state, s.reason) IS DISTINCT FROM
      (excluded.number, excluded.sha256, excluded.state, excluded.reason)
RETURNING gateway_id;

-- name: certificates
SELECT c.serial, c.gateway_id, s.code AS site, g.code AS gateway, c.fingerprint, c.key_fingerprint, c.certificate,
       c.not_before, c.not_after, c.issued_at, c.revoked_at, c.revoked_because
FROM gateway_certificates c JOIN gateways g ON g.id = c.gateway_id JOIN sites s ON s.id = g.site_id
WHERE %(gateway)s::uuid IS NULL OR c.gateway_id = %(gateway)s OR c.key_fingerprint = %(key)s
ORDER BY s.code, g.code, c.issued_at DESC, c.serial;

-- name: put_certificate
INSERT INTO gateway_certificates (organisation_id, gateway_id, serial, fingerprint, key_fingerprint, certificate,
                                  not_before, not_after, issued_at)
VALUES (plantroom.organisation(), %(gateway)s, %(serial)s, %(fingerprint)s, %(key_fingerprint)s, %(certificate)s,
        %(not_before)s, %(not_after)s, %(now)s);

-- name: revoke_certificates
WITH revoked AS (
    UPDATE gateway_certificates SET revoked_at = %(now)s, revoked_because = %(because)s
    WHERE gateway_id = %(gateway)s AND revoked_at IS NULL AND not_after > %(now)s
    RETURNING serial
) SELECT array_agg(serial ORDER BY serial) FROM revoked;

-- name: put_look
INSERT INTO commissionings (organisation_id, point_id, at, by_whom, unit, face, shown, power, agrees, pace, said,
                            received_at, received_from)
SELECT plantroom.organisation(), id, %(at)s, %(by)s, %(unit)s, %(face)s, %(shown)s, %(power)s, %(agrees)s, %(pace)s,
       %(said)s, %(now)s, %(from)s
FROM points WHERE code = %(point)s AND kind = 'counter'
ON CONFLICT (point_id, at) DO NOTHING
RETURNING point_id;

-- name: looks
SELECT c.point_id, p.code AS point, c.unit, c.by_whom, c.at, c.face, c.shown, c.power, c.agrees, c.pace, c.said,
       c.received_at, c.received_from
FROM commissionings c JOIN points p ON p.id = c.point_id
WHERE (%(point)s::text IS NULL OR p.code = %(point)s) ORDER BY c.at, c.point_id LIMIT %(most)s;

-- name: counters
SELECT p.id, p.code, p.unit, d.code AS device, d.name_zh, d.name_en, d.commodity, s.code AS space
FROM points p JOIN devices d ON d.id = p.device_id JOIN spaces s ON s.id = d.space_id
WHERE p.kind = 'counter' ORDER BY p.code;

-- Who is to be listed, or the very one that is asked for.
-- name: strangers
SELECT t.site_id, s.code AS site, t.gateway, t.device, t.declares, t.first_seen_at, t.last_seen_at,
       g.id IS NOT NULL AS gateway_known, coalesce(h.held, 0) AS held, coalesce(h.readings, 0) AS readings
FROM strangers t JOIN sites s ON s.id = t.site_id
LEFT JOIN gateways g ON g.site_id = t.site_id AND g.code = t.gateway
LEFT JOIN LATERAL (
    SELECT count(*)::int AS held, sum(readings)::bigint AS readings FROM held_frames
    WHERE gateway_id = g.id AND device = t.device AND measure IS NULL) h ON true
WHERE CASE WHEN %(site)s::uuid IS NOT NULL
           THEN (t.site_id, t.gateway, t.device) = (%(site)s::uuid, %(gateway)s::text, %(device)s::text)
           WHEN t.ignored THEN false
           WHEN t.device = '' THEN g.id IS NULL
           ELSE NOT EXISTS (SELECT FROM devices WHERE gateway_id = g.id AND code = t.device) END
ORDER BY t.last_seen_at DESC, t.gateway, t.device LIMIT %(most)s;

-- name: drop_stranger
DELETE FROM strangers WHERE site_id = %(site)s AND gateway = %(gateway)s AND device = %(device)s;

-- name: ignore_stranger
UPDATE strangers SET ignored = true WHERE site_id = %(site)s AND gateway = %(gateway)s AND device = %(device)s;

-- name: drop_held_of
DELETE FROM held_frames h USING gateways g
WHERE g.id = h.gateway_id AND g.site_id = %(site)s AND g.code = %(gateway)s AND h.device = %(device)s AND measure IS NULL;

-- name: set_heard
UPDATE devices SET online = true, online_changed_at = %(now)s WHERE gateway_id = %(gateway)s AND code = %(code)s;

-- name: unsettled
SELECT p.id AS point_id, p.code AS point, p.unit, h.unit AS said, count(*)::int AS held,
       sum(h.readings)::bigint AS readings, min(h.received_at) AS first_at, max(h.received_at) AS last_at
FROM held_frames h
JOIN devices d ON d.gateway_id = h.gateway_id AND d.code = h.device
JOIN points p ON p.device_id = d.id AND p.measure = h.measure
WHERE h.unit <> p.unit
GROUP BY p.id, h.unit ORDER BY p.code, h.unit;

-- name: set_unit
UPDATE points SET unit = %(unit)s WHERE id = %(point)s;
