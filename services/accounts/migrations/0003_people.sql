-- People, and what they are in accounts. A person belongs to no account, so row-level security
-- leaves these tables without a column `account` to the hub's own work.
CREATE TABLE accounts_user (
    id           text PRIMARY KEY,
    number       bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    email        text NOT NULL UNIQUE,  -- normalised
    name         text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    locale       text NOT NULL DEFAULT 'en',
    password     text,                  -- argon2id; NULL: none was set yet
    version      bigint NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    verified_at  timestamptz,
    suspended_at timestamptz
);

CREATE TABLE accounts_member (
    account      text NOT NULL REFERENCES accounts_account (id) ON DELETE CASCADE,
    "user"       text NOT NULL REFERENCES accounts_user (id) ON DELETE CASCADE,
    number       bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    role         text NOT NULL CHECK (role IN ('owner', 'admin', 'developer', 'viewer', 'billing')),
    version      bigint NOT NULL DEFAULT 1,
    joined_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account, "user")
);

CREATE INDEX accounts_member_user ON accounts_member ("user");

-- Projects in which a member's role is a narrower one.
CREATE TABLE accounts_narrowed (
    account      text NOT NULL,
    project      text NOT NULL,
    "user"       text NOT NULL,
    role         text NOT NULL CHECK (role IN ('admin', 'developer', 'viewer', 'billing')),
    PRIMARY KEY (project, "user"),
    FOREIGN KEY (account, "user") REFERENCES accounts_member (account, "user") ON DELETE CASCADE
);

CREATE INDEX accounts_narrowed_member ON accounts_narrowed (account, "user");

-- A token acts for the person who made it, as far as that person may act at the time; the first
-- token of a hub, and those made at its terminal, act for the account itself.
ALTER TABLE accounts_api_token
    ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    ADD COLUMN "user" text REFERENCES accounts_user (id) ON DELETE CASCADE,
    ADD COLUMN last_used_at timestamptz;
