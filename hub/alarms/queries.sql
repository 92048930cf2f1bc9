-- Under the role that stores readings, which no policy holds to an organisation: so the queries do.
-- In three statements: joined, a new database without statistics plans them one by one against each other.
-- name: subjects
SELECT d.id AS device_id, d.site_id, d.profile, d.role, s.timezone
FROM devices d JOIN sites s ON s.id = d.site_id
WHERE d.id = ANY(%(devices)s::uuid[]) AND d.organisation_id = plantroom.organisation();

-- name: measured
SELECT device_id, id AS point_id, measure FROM points
WHERE device_id = ANY(%(devices)s::uuid[]) AND measure = ANY(%(measures)s::text[])
  AND organisation_id = plantroom.organisation();

-- name: shown
SELECT point_id, value, quality FROM latest WHERE point_id = ANY(%(points)s::bigint[]);

-- name: states
SELECT device_id, rule, phase, since, truth, alarm_id FROM alarm_states WHERE device_id = ANY(%(devices)s::uuid[]);

-- name: moving
SELECT device_id, rule, phase, since, truth, alarm_id FROM alarm_states
WHERE organisation_id = plantroom.organisation() AND phase IN ('pending', 'clearing') AND truth IS NOT NULL;

-- The device must have been heard live once (judge made its row): history that was brought in later wakes nobody.
-- name: silent
SELECT s.device_id, max(l.at) AS good_at
FROM alarm_states s JOIN latest_readings l ON l.device_id = s.device_id
WHERE s.rule = %(rule)s AND l.quality = %(good)s
GROUP BY s.device_id, s.phase
HAVING (max(l.at) <= %(stale_before)s) = (s.phase IN ('normal', 'clearing'));

-- name: drop_withdrawn
DELETE FROM alarm_states WHERE organisation_id = plantroom.organisation() AND rule <> ALL(%(codes)s::text[])
RETURNING device_id, rule, phase, since, truth, alarm_id;

-- name: lock_states
SELECT device_id, rule, phase, since, truth, alarm_id FROM alarm_states
WHERE (device_id, rule) IN (SELECT * FROM unnest(%(devices)s::uuid[], %(rules)s::text[]))
ORDER BY device_id, rule
FOR UPDATE;

-- name: put_state
INSERT INTO alarm_states (organisation_id, rule, device_id, phase, since, truth, judged_at, alarm_id)
SELECT plantroom.organisation(), t.rule, t.device, t.phase, t.since, t.truth, %(now)s, t.alarm
FROM unnest(%(rules)s::text[], %(devices)s::uuid[], %(phases)s::text[], %(since)s::timestamptz[], %(truths)s::boolean[],
            %(alarms)s::uuid[]) AS t (rule, device, phase, since, truth, alarm)
ON CONFLICT (device_id, rule) DO UPDATE SET phase = excluded.phase, since = excluded.since, truth = excluded.truth,
    judged_at = excluded.judged_at, alarm_id = excluded.alarm_id;

-- name: raise_alarm
INSERT INTO alarms (id, organisation_id, site_id, device_id, point_id, rule, rule_version, priority, name_zh, name_en,
                    value, threshold, condition_began_at, raised_at, cleared_at)
VALUES (%(id)s, plantroom.organisation(), %(site)s, %(device)s, %(point)s, %(rule)s, %(version)s, %(priority)s,
        %(name_zh)s, %(name_en)s, %(value)s, %(threshold)s, %(began_at)s, %(raised_at)s, %(cleared_at)s);

-- name: clear_alarm
UPDATE alarms SET cleared_at = %(at)s WHERE id = %(id)s AND cleared_at IS NULL;

-- name: write_journal
INSERT INTO alarm_events (organisation_id, alarm_id, at, event, actor, note)
VALUES (plantroom.organisation(), %(id)s, %(at)s, %(event)s, %(actor)s, %(note)s);

-- name: announce
SELECT pg_notify('plantroom_live', json_build_object('kind', 'alarm', 'id', %(id)s::text,
                                                     'organisation', plantroom.organisation()::text)::text);

-- name: acknowledge
UPDATE alarms SET acknowledged_at = %(now)s, acknowledged_by = %(actor)s, comment = %(comment)s
WHERE id = %(id)s AND acknowledged_at IS NULL;

-- name: one
SELECT a.id, a.site_id, a.device_id, d.code AS device, d.name_zh AS device_name_zh, d.name_en AS device_name_en,
       s.code AS space, a.point_id, p.code AS point, p.unit, a.rule, a.rule_version, a.priority, a.name_zh, a.name_en,
       a.value, a.threshold, a.condition_began_at, a.raised_at, a.cleared_at, a.acknowledged_at, a.acknowledged_by,
       a.comment
FROM alarms a
JOIN devices d ON d.id = a.device_id
JOIN spaces s ON s.id = d.space_id
LEFT JOIN points p ON p.id = a.point_id
WHERE a.id = %(id)s;

-- name: active
SELECT a.id, a.site_id, a.device_id, d.code AS device, d.name_zh AS device_name_zh, d.name_en AS device_name_en,
       s.code AS space, a.point_id, p.code AS point, p.unit, a.rule, a.rule_version, a.priority, a.name_zh, a.name_en,
       a.value, a.threshold, a.condition_began_at, a.raised_at, a.cleared_at, a.acknowledged_at, a.acknowledged_by,
       a.comment
FROM alarms a
JOIN devices d ON d.id = a.device_id
JOIN spaces s ON s.id = d.space_id
LEFT JOIN points p ON p.id = a.point_id
WHERE a.organisation_id = plantroom.organisation() AND (a.cleared_at IS NULL OR a.acknowledged_at IS NULL)
ORDER BY a.cleared_at IS NOT NULL, array_position(ARRAY['critical', 'high', 'medium', 'low'], a.priority),
         a.raised_at DESC, a.id
LIMIT %(most)s;

-- name: history
SELECT a.id, a.site_id, a.device_id, d.code AS device, d.name_zh AS device_name_zh, d.name_en AS device_name_en,
       s.code AS space, a.point_id, p.code AS point, p.unit, a.rule, a.rule_version, a.priority, a.name_zh, a.name_en,
       a.value, a.threshold, a.condition_began_at, a.raised_at, a.cleared_at, a.acknowledged_at, a.acknowledged_by,
       a.comment
FROM alarms a
JOIN devices d ON d.id = a.device_id
JOIN spaces s ON s.id = d.space_id
LEFT JOIN points p ON p.id = a.point_id
WHERE a.organisation_id = plantroom.organisation() AND a.raised_at < %(before)s
  AND (%(device)s::uuid IS NULL OR a.device_id = %(device)s)
ORDER BY a.raised_at DESC, a.id
LIMIT %(most)s;

-- name: journal
SELECT at, event, actor, note FROM alarm_events WHERE alarm_id = %(id)s ORDER BY id;
