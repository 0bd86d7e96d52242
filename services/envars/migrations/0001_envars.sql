-- What has variables: a project, a group in it, a device in it.
CREATE TABLE envars_level (
    account     text NOT NULL,
    project     text NOT NULL,
    level       text NOT NULL CHECK (level IN ('project', 'group', 'device')),
    target      text NOT NULL,  -- the group, or the device; '' for the project
    version     bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (project, level, target)
);

CREATE INDEX envars_level_account ON envars_level (account);

CREATE TABLE envars_variable (
    account     text NOT NULL,
    project     text NOT NULL,
    level       text NOT NULL,
    target      text NOT NULL,
    name        text NOT NULL,
    value       text,   -- of a plain one
    sealed      bytea,  -- of a secret; bound to its place, name and version by the vault
    restart     boolean NOT NULL,
    uses        text[] NOT NULL,  -- names that are filled in for each device
    version     bigint NOT NULL,  -- of its level, when it changed last
    changed_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, level, target, name),
    FOREIGN KEY (project, level, target) REFERENCES envars_level ON DELETE CASCADE,
    CHECK ((value IS NULL) <> (sealed IS NULL))
);

CREATE INDEX envars_variable_account ON envars_variable (account);

-- What each device is to have, and has. A version counts changes of what that very device gets.
CREATE TABLE envars_device (
    device       text PRIMARY KEY,
    number       bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    account      text NOT NULL,
    project      text NOT NULL,
    label        text NOT NULL,
    "group"      text NOT NULL,
    session      text NOT NULL DEFAULT '',  -- the live one; '' while offline
    version      bigint NOT NULL DEFAULT 1,
    applied      bigint NOT NULL DEFAULT 0,
    error        text NOT NULL DEFAULT '',
    reported_at  timestamptz
);

CREATE INDEX envars_device_project ON envars_device (account, project, number);
CREATE INDEX envars_device_behind ON envars_device (device)
    WHERE session <> '' AND applied <> version;
