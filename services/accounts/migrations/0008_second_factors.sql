-- Second factors of people. Nothing here opens anything by itself: the secret of an authenticator
-- app is sealed, a recovery code is kept as its digest, and of a passkey only the public half is.
CREATE TABLE accounts_totp (
    "user"       text PRIMARY KEY REFERENCES accounts_user (id) ON DELETE CASCADE,
    sealed       bytea NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    confirmed_at timestamptz,                -- NULL: it was never shown to work, and asks nobody
    last_step    bigint NOT NULL DEFAULT 0   -- of the last code that was used: none up to it is good
);

-- Codes of 80 random bits, so a plain SHA-256 is enough to keep one by. It is deleted by use.
CREATE TABLE accounts_recovery_code (
    "user"       text NOT NULL REFERENCES accounts_user (id) ON DELETE CASCADE,
    digest       bytea NOT NULL CHECK (length(digest) = 32),
    PRIMARY KEY ("user", digest)
);

CREATE TABLE accounts_passkey (
    id           text PRIMARY KEY,
    number       bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    "user"       text NOT NULL REFERENCES accounts_user (id) ON DELETE CASCADE,
    name         text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    credential   bytea NOT NULL UNIQUE CHECK (length(credential) BETWEEN 1 AND 1023),
    public_key   bytea NOT NULL,             -- COSE
    sign_count   bigint NOT NULL,
    transports   text[] NOT NULL DEFAULT '{}',
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz
);

CREATE INDEX accounts_passkey_user ON accounts_passkey ("user");

-- What was asked of somebody and is not answered yet; deleted by the right answer. "user" is NULL
-- where whoever answers says who they are.
CREATE TABLE accounts_challenge (
    digest       bytea PRIMARY KEY CHECK (length(digest) = 32),
    kind         text NOT NULL,
    "user"       text REFERENCES accounts_user (id) ON DELETE CASCADE,
    session      text REFERENCES accounts_session (id) ON DELETE CASCADE,
    bound        bytea NOT NULL DEFAULT '',  -- digest of the cookie that it goes with
    attempts_key bytea NOT NULL DEFAULT '',  -- what wrong answers are counted by
    tries        integer NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL
);

CREATE INDEX accounts_challenge_user ON accounts_challenge ("user");
CREATE INDEX accounts_challenge_expiry ON accounts_challenge (expires_at);

-- When whoever has the session last showed that it is them.
ALTER TABLE accounts_session ADD COLUMN proven_at timestamptz NOT NULL DEFAULT now();
