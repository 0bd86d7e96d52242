-- An account owns everything else; people, roles and sign-up come with the accounts issue.
CREATE TABLE accounts_account (
    id          text PRIMARY KEY,
    name        text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- A token is 256 random bits, so a plain SHA-256 is enough to keep it by.
CREATE TABLE accounts_api_token (
    id          text PRIMARY KEY,
    account     text NOT NULL REFERENCES accounts_account (id) ON DELETE CASCADE,
    name        text NOT NULL,
    prefix      text NOT NULL,
    digest      bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    scopes      text[] NOT NULL DEFAULT '{*}',
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz,
    revoked_at  timestamptz
);

CREATE INDEX accounts_api_token_account ON accounts_api_token (account);

-- One row at most: two hubs that start at once make one first account.
CREATE TABLE accounts_first (
    first       boolean PRIMARY KEY DEFAULT true CHECK (first),
    account     text NOT NULL REFERENCES accounts_account (id) ON DELETE CASCADE
                DEFERRABLE INITIALLY DEFERRED  -- claimed before the account is written
);
