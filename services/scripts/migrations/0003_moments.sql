-- The scripts of a project's moments. The revision counts changes of any of them.
CREATE TABLE scripts_project (
    project   text PRIMARY KEY,
    account   text NOT NULL,
    revision  bigint NOT NULL DEFAULT 1
);

CREATE INDEX scripts_project_account ON scripts_project (account);

-- Each of them in all its versions, of which the highest counts.
CREATE TABLE scripts_version (
    project     text NOT NULL REFERENCES scripts_project (project) ON DELETE CASCADE,
    moment      text NOT NULL CHECK (moment IN ('pre-install', 'pre-update', 'post-update')),
    version     bigint NOT NULL,
    account     text NOT NULL,
    body        text NOT NULL,
    timeout     double precision NOT NULL,
    changed_by  text NOT NULL,  -- a person, or a token; '' for the hub itself
    changed_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, moment, version)
);

CREATE INDEX scripts_version_account ON scripts_version (account);

-- What each device has. It is to have the project's revision, and as much more as it was ahead once.
CREATE TABLE scripts_device (
    device       text PRIMARY KEY,
    number       bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    account      text NOT NULL,
    project      text NOT NULL,
    session      text NOT NULL DEFAULT '',  -- the live one; '' while offline
    lift         bigint NOT NULL DEFAULT 0,
    applied      bigint NOT NULL DEFAULT 0,
    error        text NOT NULL DEFAULT '',
    reported_at  timestamptz
);

CREATE INDEX scripts_device_project ON scripts_device (account, project, number);
CREATE INDEX scripts_device_here ON scripts_device (device) WHERE session <> '';

-- What became of a script in its moment, under the id that the device gave that.
CREATE TABLE scripts_ran (
    device       text NOT NULL REFERENCES scripts_device (device) ON DELETE CASCADE,
    id           text NOT NULL,
    number       bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    account      text NOT NULL,
    moment       text NOT NULL,
    version      bigint NOT NULL,
    status       text NOT NULL,
    code         integer,
    output       text NOT NULL,
    error        text NOT NULL,
    seconds      double precision NOT NULL,
    started_at   timestamptz NOT NULL,  -- by the device's clock
    received_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (device, id)
);

CREATE INDEX scripts_ran_newest ON scripts_ran (device, number);
CREATE INDEX scripts_ran_account ON scripts_ran (account);
