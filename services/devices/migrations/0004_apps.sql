-- How the app of a device fares, as the device said last; "" and null before the first time.
ALTER TABLE devices_device
    ADD COLUMN app_state text NOT NULL DEFAULT '',
    ADD COLUMN app_revision text NOT NULL DEFAULT '',
    ADD COLUMN app_programs jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN app_reported_at timestamptz;

CREATE INDEX devices_device_app ON devices_device (project, app_state);
