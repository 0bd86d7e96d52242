-- Sessions of people. Which account one is used in, each request says (or it is the first one).
CREATE TABLE accounts_session (
    id           text PRIMARY KEY,
    number       bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    "user"       text NOT NULL REFERENCES accounts_user (id) ON DELETE CASCADE,
    digest       bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    address      text NOT NULL,
    agent        text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    seen_at      timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX accounts_session_user ON accounts_session ("user");

-- Devices that somebody has logged in from: the attempts of others do not lock them out there.
CREATE TABLE accounts_device (
    id           text PRIMARY KEY,
    "user"       text NOT NULL REFERENCES accounts_user (id) ON DELETE CASCADE,
    digest       bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    created_at   timestamptz NOT NULL DEFAULT now(),
    seen_at      timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX accounts_device_user ON accounts_device ("user");

-- Links that were mailed: whoever shows one reads the mails of its person. It is deleted by use.
CREATE TABLE accounts_link (
    digest       bytea PRIMARY KEY CHECK (length(digest) = 32),
    kind         text NOT NULL,
    "user"       text NOT NULL REFERENCES accounts_user (id) ON DELETE CASCADE,
    data         jsonb NOT NULL DEFAULT '{}',
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL
);

CREATE INDEX accounts_link_user ON accounts_link ("user", kind);

-- Attempts to log in, by a keyed digest of the address (or of the device): an address that has no
-- account has its row like any other.
CREATE TABLE accounts_attempt (
    key          bytea PRIMARY KEY,
    failures     integer NOT NULL,
    until        timestamptz NOT NULL,  -- no further attempt is checked before
    changed_at   timestamptz NOT NULL DEFAULT now()
);

-- What is limited by a window of time, by a keyed digest of whose it is.
CREATE TABLE accounts_tally (
    key          bytea PRIMARY KEY,
    used         integer NOT NULL,
    ends_at      timestamptz NOT NULL
);

-- Made but never verified, and without a link that could still do it: forgotten after a week.
CREATE INDEX accounts_user_unverified ON accounts_user (created_at) WHERE verified_at IS NULL;

CREATE INDEX accounts_api_token_user ON accounts_api_token ("user");
