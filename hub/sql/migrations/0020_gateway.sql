-- Answers to POSTs that carried an Idempotency-Key, for 24 hours.

CREATE TABLE gateway_idempotency (
    account text NOT NULL,
    route text NOT NULL,
    key bytea NOT NULL,
    actor text NOT NULL,
    fingerprint bytea NOT NULL,
    claim uuid NOT NULL UNIQUE,
    leased_until timestamptz NOT NULL,
    answer bytea,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (account, route, key)
);

CREATE INDEX gateway_idempotency_expires_at ON gateway_idempotency (expires_at);
