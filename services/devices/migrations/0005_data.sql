-- What devices sent and were sent on each day, in UTC. It is written again and again: room in each
-- page keeps a row where it is.
CREATE TABLE devices_data (
    account        text NOT NULL,
    project        text NOT NULL,
    device         text NOT NULL REFERENCES devices_device (id) ON DELETE CASCADE,
    day            date NOT NULL,
    up_messages    bigint NOT NULL,
    up_bytes       bigint NOT NULL,
    down_messages  bigint NOT NULL,
    down_bytes     bigint NOT NULL,
    PRIMARY KEY (device, day)
) WITH (fillfactor = 50);
CREATE INDEX devices_data_day ON devices_data (day);

-- The same of a project together. It stays when devices, or the project itself, are gone.
CREATE TABLE devices_data_project (
    account        text NOT NULL,
    project        text NOT NULL,
    day            date NOT NULL,
    up_messages    bigint NOT NULL,
    up_bytes       bigint NOT NULL,
    down_messages  bigint NOT NULL,
    down_bytes     bigint NOT NULL,
    PRIMARY KEY (account, project, day)
) WITH (fillfactor = 50);

-- The last telling of each meter: what is told again counts once.
CREATE TABLE devices_data_meter (
    meter   text PRIMARY KEY,
    number  bigint NOT NULL,
    at      timestamptz NOT NULL DEFAULT now()
);
