-- Rules may concern one device, and lines: those of a stream, of a severity or worse.
ALTER TABLE alerts_rule
    ADD COLUMN device text NOT NULL DEFAULT '',
    ADD COLUMN stream text NOT NULL DEFAULT '',
    ADD COLUMN level text;

CREATE INDEX alerts_event_of ON alerts_event (rule, device, subject, number);

-- Of each project with rules about lines: from when on its lines are heard (but for times in which
-- nobody listened), and up to when that was written down.
CREATE TABLE alerts_ear (
    project text PRIMARY KEY,
    account text NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL
);

-- When a device was heard last. That moves on by the times in which nobody listened.
CREATE TABLE alerts_heard (
    project text NOT NULL REFERENCES alerts_ear (project) ON DELETE CASCADE,
    device text NOT NULL,
    stream text NOT NULL,
    account text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (project, device, stream)
);
