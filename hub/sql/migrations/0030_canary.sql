-- Written by the readiness check of each hub; it belongs to no account.
CREATE TABLE canary (
    hub text PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now()
);
