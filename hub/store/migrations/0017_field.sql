-- What gateways tell of their spools and clocks, and what doors and cameras watch.
ALTER TABLE gateways
    ADD COLUMN spool_percent smallint NOT NULL DEFAULT 0, -- how full its spool is
    ADD COLUMN dropped bigint NOT NULL DEFAULT 0, -- readings and events that its spool could not keep
    ADD COLUMN dropped_at timestamptz, -- when that was last told to be more
    ADD COLUMN skew_ms bigint NOT NULL DEFAULT 0; -- its clock ahead of the hub's; negative: behind

ALTER TABLE devices ADD COLUMN zone_id uuid; -- what a door or a camera watches
ALTER TABLE devices ADD FOREIGN KEY (organisation_id, site_id, zone_id) REFERENCES zones (organisation_id, site_id, id);
CREATE INDEX devices_zone ON devices (zone_id) WHERE zone_id IS NOT NULL;
