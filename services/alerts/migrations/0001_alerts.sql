CREATE TABLE alerts_rule (
    id text PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY,
    account text NOT NULL,
    project text NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    device_group text NOT NULL,
    severity text NOT NULL,
    enabled boolean NOT NULL,
    minutes integer NOT NULL,
    metric text NOT NULL,
    over double precision,
    under double precision,
    clear double precision,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX alerts_rule_project ON alerts_rule (account, project, number);

-- What a rule found of a device, or of one of its series: since when it holds, and whether somebody
-- was told. `subject` is the series' labels as text.
CREATE TABLE alerts_state (
    rule text NOT NULL REFERENCES alerts_rule (id) ON DELETE CASCADE,
    device text NOT NULL,
    subject text NOT NULL,
    account text NOT NULL,
    project text NOT NULL,
    since timestamptz NOT NULL,
    firing boolean NOT NULL,
    PRIMARY KEY (rule, device, subject)
);

-- What happened, and was told (`told`) or is yet to be.
CREATE TABLE alerts_event (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account text NOT NULL,
    project text NOT NULL,
    rule text NOT NULL,
    rule_name text NOT NULL,
    device text NOT NULL,
    host text NOT NULL,
    subject text NOT NULL,
    state text NOT NULL,
    severity text NOT NULL,
    text text NOT NULL,
    at timestamptz NOT NULL,
    told boolean NOT NULL DEFAULT false
);
CREATE INDEX alerts_event_project ON alerts_event (account, project, number);
CREATE INDEX alerts_event_untold ON alerts_event (number) WHERE NOT told;
