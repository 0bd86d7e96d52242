ALTER TABLE devices_device
    ADD COLUMN tags text[] NOT NULL DEFAULT '{}',
    ADD COLUMN addresses text[] NOT NULL DEFAULT '{}',
    DROP CONSTRAINT devices_device_status_check,
    ADD CONSTRAINT devices_device_status_check
        CHECK (status IN ('waiting', 'pending', 'active', 'revoked', 'quarantined'));

-- A group is there from the first time that somebody names it.
CREATE TABLE devices_group (
    account      text NOT NULL,
    project      text NOT NULL,
    name         text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    number       bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    description  text NOT NULL DEFAULT '',
    version      bigint NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, name)
);

CREATE INDEX devices_group_account ON devices_group (account, project, number);
CREATE INDEX devices_device_group ON devices_device (project, "group");

INSERT INTO devices_group (account, project, name)
SELECT DISTINCT account, project, "group" FROM devices_device;
