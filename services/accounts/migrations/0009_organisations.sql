ALTER TABLE accounts_account
    ADD COLUMN version bigint NOT NULL DEFAULT 1,
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
    ADD CONSTRAINT accounts_account_name CHECK (length(name) BETWEEN 1 AND 100);
