-- name: put_zone
INSERT INTO zones (organisation_id, site_id, building_id, code, name_zh, name_en, sensitive)
VALUES (plantroom.organisation(), %(site)s,
        (SELECT id FROM spaces WHERE site_id = %(site)s AND code = %(building)s AND kind = 'building'),
        %(code)s, %(name_zh)s, %(name_en)s, %(sensitive)s)
ON CONFLICT (site_id, code) DO UPDATE SET building_id = excluded.building_id, name_zh = excluded.name_zh,
    name_en = excluded.name_en, sensitive = excluded.sensitive;

-- name: zones
SELECT z.id, z.site_id, s.code AS site, z.code, z.name_zh, z.name_en, b.code AS building, z.sensitive
FROM zones z JOIN sites s ON s.id = z.site_id LEFT JOIN spaces b ON b.id = z.building_id
ORDER BY s.code, z.code;

-- name: zone
SELECT z.id, z.site_id, s.code AS site, z.code, z.name_zh, z.name_en, b.code AS building, z.sensitive
FROM zones z JOIN sites s ON s.id = z.site_id LEFT JOIN spaces b ON b.id = z.building_id
WHERE s.code = %(site)s AND z.code = %(zone)s;

-- name: set_device_zone
UPDATE devices SET zone_id = z.id
FROM (SELECT (SELECT id FROM zones WHERE site_id = %(site)s AND code = %(zone)s) AS id) z
WHERE devices.site_id = %(site)s AND devices.code = %(device)s AND devices.zone_id IS DISTINCT FROM z.id;

-- name: watched
SELECT z.code FROM devices d JOIN zones z ON z.id = d.zone_id WHERE d.gateway_id = %(gateway)s AND d.code = %(device)s;

-- name: put_holder
INSERT INTO badge_holders (organisation_id, site_id, badge, name, added_at)
VALUES (plantroom.organisation(), %(site)s, %(badge)s, %(name)s, %(now)s)
ON CONFLICT (site_id, badge, name) DO NOTHING;

-- name: holder_id
SELECT id FROM badge_holders WHERE site_id = %(site)s AND badge = %(badge)s AND name = %(name)s;

-- name: add_still
-- Without naming the constraint: the sender need not see what is there.
INSERT INTO stills (id, organisation_id, site_id, zone_id, camera, at, kind, holder_id, picture, thumbnail, width, height, sha256,
                    source, received_at)
VALUES (%(id)s, plantroom.organisation(), %(site)s, %(zone)s, %(camera)s, %(at)s, %(kind)s, %(holder)s, %(picture)s,
        %(thumbnail)s, %(width)s, %(height)s, %(sha256)s, %(source)s, %(now)s)
ON CONFLICT DO NOTHING;

-- name: still_at
SELECT id, sha256 FROM stills WHERE site_id = %(site)s AND camera = %(camera)s AND at = %(at)s;

-- name: stills
SELECT s.id, t.code AS site, z.code AS zone, z.name_zh AS zone_zh, z.name_en AS zone_en, z.sensitive, s.camera, s.at, s.kind,
       s.holder_id, s.width, s.height, length(s.picture) AS size, s.kept_until, s.source
FROM stills s JOIN zones z ON z.id = s.zone_id JOIN sites t ON t.id = s.site_id
WHERE (%(id)s::uuid IS NULL OR s.id = %(id)s)
  AND (%(camera)s::text IS NULL OR s.camera = %(camera)s)
  AND (%(zone)s::text IS NULL OR z.code = %(zone)s)
  AND (%(start)s::timestamptz IS NULL OR s.at >= %(start)s)
  AND (%(end)s::timestamptz IS NULL OR s.at < %(end)s)
  AND s.organisation_id = plantroom.organisation()
ORDER BY s.at DESC, s.id DESC
LIMIT %(most)s;

-- name: cameras
SELECT DISTINCT camera AS code FROM stills ORDER BY 1 LIMIT %(most)s;

-- name: picture
SELECT picture AS data FROM stills WHERE id = %(id)s;

-- name: thumbnail
SELECT thumbnail AS data FROM stills s JOIN zones z ON z.id = s.zone_id WHERE s.id = %(id)s AND NOT z.sensitive;

-- name: keep_still
UPDATE stills SET kept_until = %(until)s WHERE id = %(id)s;

-- name: add_badge_event
INSERT INTO badge_events (organisation_id, site_id, zone_id, submission_id, door, at, result, holder_id, source, received_at)
VALUES (plantroom.organisation(), %(site)s, %(zone)s, %(submission)s, %(door)s, %(at)s, %(result)s, %(holder)s, %(source)s,
        %(now)s)
ON CONFLICT DO NOTHING;

-- name: sent
SELECT submission_id, zone_id, door, at, result, holder_id FROM badge_events
WHERE organisation_id = plantroom.organisation() AND submission_id = ANY(%(submissions)s);

-- name: badge_events
SELECT e.id, t.code AS site, z.code AS zone, z.name_zh AS zone_zh, z.name_en AS zone_en, z.sensitive, e.door, e.at, e.result,
       e.holder_id, h.badge, h.name
FROM badge_events e JOIN zones z ON z.id = e.zone_id JOIN sites t ON t.id = e.site_id LEFT JOIN badge_holders h ON h.id = e.holder_id
WHERE e.organisation_id = plantroom.organisation() AND e.at >= %(start)s AND e.at < %(end)s
  AND (%(door)s::text IS NULL OR e.door = %(door)s)
  AND (%(zone)s::text IS NULL OR z.code = %(zone)s)
  AND (%(result)s::text IS NULL OR e.result = %(result)s)
  AND (%(person)s::text IS NULL OR strpos(lower(h.name), lower(%(person)s)) > 0 OR lower(h.badge) = lower(%(person)s))
ORDER BY e.at DESC, e.id DESC
LIMIT %(most)s;

-- name: doors
SELECT DISTINCT door AS code FROM badge_events ORDER BY 1 LIMIT %(most)s;
