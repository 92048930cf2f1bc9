-- What is wrong, and who goes to mend it.
CREATE TABLE alarm_states ( -- where each rule stands on each device; survives a restart of the judge
    organisation_id uuid NOT NULL REFERENCES organisations,
    rule text NOT NULL,
    device_id uuid NOT NULL REFERENCES devices,
    phase text NOT NULL CHECK (phase IN ('normal', 'pending', 'active', 'clearing')),
    since timestamptz NOT NULL, -- when this phase began
    truth boolean, -- the condition as last judged; NULL: cannot tell
    judged_at timestamptz NOT NULL,
    alarm_id uuid, -- the open alarm while active or clearing
    PRIMARY KEY (device_id, rule)
);
CREATE INDEX alarm_states_moving ON alarm_states (organisation_id) WHERE phase IN ('pending', 'clearing');
CALL plantroom.protect('alarm_states', 'SELECT, INSERT, UPDATE, DELETE');

CREATE TABLE alarms (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations,
    site_id uuid NOT NULL REFERENCES sites,
    device_id uuid NOT NULL REFERENCES devices,
    point_id bigint REFERENCES points, -- the point to look at
    rule text NOT NULL,
    rule_version integer NOT NULL,
    priority text NOT NULL CHECK (priority IN ('critical', 'high', 'medium', 'low')),
    name_zh text NOT NULL,
    name_en text NOT NULL,
    value double precision, -- what was measured when it was raised
    threshold double precision,
    condition_began_at timestamptz NOT NULL, -- before the on-delay
    raised_at timestamptz NOT NULL,
    cleared_at timestamptz,
    acknowledged_at timestamptz,
    acknowledged_by text,
    comment text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX alarms_one_open ON alarms (device_id, rule) WHERE cleared_at IS NULL;
CREATE INDEX alarms_active ON alarms (organisation_id) WHERE cleared_at IS NULL OR acknowledged_at IS NULL;
CREATE INDEX alarms_raised ON alarms (organisation_id, raised_at DESC);
CALL plantroom.protect('alarms', 'SELECT, INSERT, UPDATE');

CREATE TABLE alarm_events ( -- the journal: every transition
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES organisations,
    alarm_id uuid NOT NULL REFERENCES alarms,
    at timestamptz NOT NULL,
    event text NOT NULL CHECK (event IN ('raised', 'cleared', 'acknowledged')),
    actor text NOT NULL,
    note text NOT NULL DEFAULT ''
);
CREATE INDEX alarm_events_alarm ON alarm_events (alarm_id);
CALL plantroom.protect('alarm_events', 'SELECT, INSERT');

CREATE TABLE counters ( -- numbers without gaps: the row is locked until the transaction that took one ends
    organisation_id uuid NOT NULL REFERENCES organisations,
    series text NOT NULL, -- e.g. work_order, invoice/RIVERSIDE/2026
    last bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (organisation_id, series)
);
CALL plantroom.protect('counters', 'SELECT, INSERT, UPDATE');

CREATE TABLE work_orders (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations,
    site_id uuid NOT NULL REFERENCES sites,
    device_id uuid REFERENCES devices,
    space_id uuid NOT NULL REFERENCES spaces,
    number bigint NOT NULL,
    rule text NOT NULL DEFAULT '', -- the alarm rule that asked for hands; empty when a person did
    title_zh text NOT NULL,
    title_en text NOT NULL,
    skill text NOT NULL,
    zone text NOT NULL, -- building code
    priority text NOT NULL CHECK (priority IN ('critical', 'high', 'medium', 'low')),
    state text NOT NULL CHECK (state IN ('requested', 'assigned', 'accepted', 'arrived', 'done', 'verified', 'closed',
                                         'returned', 'reopened', 'stopped')),
    assignee_id uuid REFERENCES users,
    assigned_because_zh text NOT NULL DEFAULT '', -- why this technician, or why nobody
    assigned_because_en text NOT NULL DEFAULT '',
    reopened_count integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    accepted_at timestamptz,
    arrived_at timestamptz,
    done_at timestamptz,
    verified_at timestamptz,
    UNIQUE (organisation_id, number)
);
CREATE UNIQUE INDEX work_orders_one_open ON work_orders (device_id, rule)
    WHERE rule <> '' AND state NOT IN ('verified', 'closed', 'stopped');
CREATE INDEX work_orders_open ON work_orders (organisation_id, state);
CREATE INDEX work_orders_assignee ON work_orders (assignee_id, state);
CALL plantroom.protect('work_orders', 'SELECT, INSERT, UPDATE');

CREATE TABLE work_order_alarms (
    organisation_id uuid NOT NULL REFERENCES organisations,
    order_id uuid NOT NULL REFERENCES work_orders,
    alarm_id uuid NOT NULL UNIQUE REFERENCES alarms,
    PRIMARY KEY (order_id, alarm_id)
);
CALL plantroom.protect('work_order_alarms', 'SELECT, INSERT');

CREATE TABLE work_order_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES organisations,
    order_id uuid NOT NULL REFERENCES work_orders,
    submission_id uuid NOT NULL, -- made by whoever submitted: a retry is harmless
    at timestamptz NOT NULL,
    actor text NOT NULL,
    verb text NOT NULL,
    from_state text NOT NULL,
    to_state text NOT NULL,
    note_zh text NOT NULL DEFAULT '', -- a person's own words stand in both
    note_en text NOT NULL DEFAULT '',
    UNIQUE (organisation_id, submission_id)
);
CREATE INDEX work_order_events_order ON work_order_events (order_id);
CALL plantroom.protect('work_order_events', 'SELECT, INSERT');
