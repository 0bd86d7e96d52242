-- The core's own tables: events on their way out, events that were handled, keys of the vault.

-- Insert-only for the business transactions; the relay leader deletes what NATS has on disk.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL UNIQUE,
    key text NOT NULL,
    subject text NOT NULL,
    headers jsonb NOT NULL DEFAULT '{}',
    payload bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- One row for each event whose effect stands, written in the effect's transaction.
CREATE TABLE inbox (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    handled_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);

-- For clearing away what is older than an event can come again.
CREATE INDEX inbox_handled_at ON inbox USING brin (handled_at);

CREATE TABLE vault_data_keys (
    account text NOT NULL,
    project text NOT NULL,
    kek text NOT NULL,
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    wrapped_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account, project)
);
