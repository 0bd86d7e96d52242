CREATE TABLE devices_device (
    id             text PRIMARY KEY,
    number         bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    account        text NOT NULL,
    project        text NOT NULL,
    label          text NOT NULL DEFAULT '',
    agent          text NOT NULL DEFAULT '',
    system         text NOT NULL DEFAULT '',
    status         text NOT NULL DEFAULT 'pending'
                   CHECK (status IN ('pending', 'active', 'revoked', 'quarantined')),
    session        text NOT NULL DEFAULT '',  -- the live one; '' while offline
    version        bigint NOT NULL DEFAULT 1,
    registered_at  timestamptz NOT NULL DEFAULT now(),
    last_seen_at   timestamptz
);

CREATE INDEX devices_device_project ON devices_device (account, project, number);
