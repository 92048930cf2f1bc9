-- name: orders
SELECT w.id, w.number, w.site_id, w.device_id, d.code AS device, d.name_zh AS device_name_zh,
       d.name_en AS device_name_en, s.code AS space, s.name_zh AS space_name_zh, s.name_en AS space_name_en, w.rule,
       w.title_zh, w.title_en, w.skill, w.zone, w.priority, w.state, w.assignee_id, u.login AS assignee,
       u.name AS assignee_name, w.assigned_because_zh, w.assigned_because_en, w.reopened_count, w.created_at,
       w.changed_at, w.accepted_at, w.arrived_at, w.done_at, w.verified_at
FROM work_orders w
JOIN spaces s ON s.id = w.space_id
LEFT JOIN devices d ON d.id = w.device_id
LEFT JOIN users u ON u.id = w.assignee_id
WHERE w.organisation_id = plantroom.organisation()
  AND (%(assignee)s::uuid IS NULL OR w.assignee_id = %(assignee)s)
  AND (%(changed_since)s::timestamptz IS NULL OR w.changed_at >= %(changed_since)s
       OR w.state NOT IN ('verified', 'closed', 'stopped'))
  AND (NOT %(open)s OR w.state NOT IN ('verified', 'closed', 'stopped'))
ORDER BY w.state IN ('verified', 'closed', 'stopped'),
         array_position(ARRAY['critical', 'high', 'medium', 'low'], w.priority), w.number DESC
LIMIT %(most)s;

-- name: order
-- By itself, for a list with filters that may be missing is planned to be read from one end to the other.
SELECT w.id, w.number, w.site_id, w.device_id, d.code AS device, d.name_zh AS device_name_zh,
       d.name_en AS device_name_en, s.code AS space, s.name_zh AS space_name_zh, s.name_en AS space_name_en, w.rule,
       w.title_zh, w.title_en, w.skill, w.zone, w.priority, w.state, w.assignee_id, u.login AS assignee,
       u.name AS assignee_name, w.assigned_because_zh, w.assigned_because_en, w.reopened_count, w.created_at,
       w.changed_at, w.accepted_at, w.arrived_at, w.done_at, w.verified_at
FROM work_orders w
JOIN spaces s ON s.id = w.space_id
LEFT JOIN devices d ON d.id = w.device_id
LEFT JOIN users u ON u.id = w.assignee_id
WHERE w.id = %(id)s;

-- name: id_of_number
SELECT id FROM work_orders WHERE organisation_id = plantroom.organisation() AND number = %(number)s;

-- name: lock
SELECT id FROM work_orders WHERE id = %(id)s FOR UPDATE;

-- name: history
SELECT at, actor, verb, from_state, to_state, note_zh, note_en FROM work_order_events WHERE order_id = %(id)s ORDER BY id;

-- name: links
SELECT l.alarm_id, l.order_id, w.number, w.state FROM work_order_alarms l JOIN work_orders w ON w.id = l.order_id
WHERE l.alarm_id = ANY(%(alarms)s::uuid[]);

-- name: alarms_of
SELECT alarm_id FROM work_order_alarms WHERE order_id = %(id)s;

-- name: open_order
SELECT id FROM work_orders
WHERE device_id = %(device)s AND rule = %(rule)s AND state NOT IN ('verified', 'closed', 'stopped');

-- name: next_number
INSERT INTO counters (organisation_id, series, last) VALUES (plantroom.organisation(), 'work_order', 1)
ON CONFLICT (organisation_id, series) DO UPDATE SET last = counters.last + 1
RETURNING last;

-- name: place
SELECT d.site_id, d.space_id, coalesce(b.code, f.code, s.code) AS zone
FROM devices d
JOIN spaces s ON s.id = d.space_id
LEFT JOIN spaces f ON f.id = s.parent_id
LEFT JOIN spaces b ON b.id = f.parent_id
WHERE d.id = %(device)s;

-- name: open
INSERT INTO work_orders (organisation_id, site_id, device_id, space_id, number, rule, title_zh, title_en, skill, zone,
                         priority, state, created_at, changed_at)
VALUES (plantroom.organisation(), %(site)s, %(device)s, %(space)s, %(number)s, %(rule)s, %(title_zh)s, %(title_en)s,
        %(skill)s, %(zone)s, %(priority)s, 'requested', %(now)s, %(now)s)
RETURNING id;

-- name: link
INSERT INTO work_order_alarms (organisation_id, order_id, alarm_id)
VALUES (plantroom.organisation(), %(order)s, %(alarm)s) ON CONFLICT (alarm_id) DO NOTHING;

-- name: technicians
-- Who may be sent where the order is.
SELECT u.id, u.login, u.name, u.kind, u.skills, u.zones, count(w.id)::int AS load
FROM users u
LEFT JOIN work_orders w ON w.assignee_id = u.id AND w.state IN ('assigned', 'accepted', 'arrived')
WHERE u.organisation_id = plantroom.organisation() AND u.active AND EXISTS (
    SELECT FROM grants g JOIN work_orders o ON o.id = %(order)s
    WHERE g.user_id = u.id AND g.role IN ('technician', 'contractor') AND (g.since IS NULL OR g.since <= now())
      AND (g.until IS NULL OR g.until > now())
      AND (g.site_id IS NULL OR g.building_id = o.building_id OR g.building_id IS NULL AND g.site_id = o.site_id))
GROUP BY u.id;

-- name: gave_back
SELECT DISTINCT actor AS login FROM work_order_events WHERE order_id = %(id)s AND verb = 'return';

-- name: move
UPDATE work_orders SET state = %(state)s, changed_at = %(now)s, assignee_id = %(assignee)s,
    assigned_because_zh = %(why_zh)s, assigned_because_en = %(why_en)s, reopened_count = %(reopened_count)s,
    accepted_at = %(accepted_at)s, arrived_at = %(arrived_at)s, done_at = %(done_at)s, verified_at = %(verified_at)s
WHERE id = %(id)s;

-- name: explain
UPDATE work_orders SET assigned_because_zh = %(why_zh)s, assigned_because_en = %(why_en)s WHERE id = %(id)s;

-- name: write_history
INSERT INTO work_order_events (organisation_id, order_id, submission_id, at, actor, verb, from_state, to_state,
                               note_zh, note_en)
VALUES (plantroom.organisation(), %(id)s, %(submission)s, %(now)s, %(actor)s, %(verb)s, %(from_state)s, %(to_state)s,
        %(note_zh)s, %(note_en)s);

-- name: submission
SELECT order_id, actor FROM work_order_events
WHERE organisation_id = plantroom.organisation() AND submission_id = %(submission)s;

-- name: reported
SELECT w.id, w.done_at, w.rule, max(a.rule_version) AS rule_version, bool_or(a.cleared_at IS NULL) AS standing,
       max(s.since) FILTER (WHERE s.phase = 'clearing') AS clearing_since
FROM work_orders w
JOIN work_order_alarms l ON l.order_id = w.id
JOIN alarms a ON a.id = l.alarm_id
LEFT JOIN alarm_states s ON s.device_id = a.device_id AND s.rule = a.rule AND s.alarm_id = a.id
WHERE w.organisation_id = plantroom.organisation() AND w.state = 'done' AND w.done_at IS NOT NULL
GROUP BY w.id;

-- name: announce
SELECT pg_notify('plantroom_live', json_build_object('kind', 'work_order', 'id', %(id)s::text,
                                                     'organisation', plantroom.organisation()::text)::text);
