-- Invitations that wait for an answer; the address need not belong to anybody yet.
CREATE TABLE accounts_invitation (
    id           text PRIMARY KEY,
    number       bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    account      text NOT NULL REFERENCES accounts_account (id) ON DELETE CASCADE,
    email        text NOT NULL,  -- normalised
    role         text NOT NULL CHECK (role IN ('owner', 'admin', 'developer', 'viewer', 'billing')),
    locale       text NOT NULL,
    invited_by   text REFERENCES accounts_user (id) ON DELETE CASCADE,  -- NULL: the account itself
    digest       bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    version      bigint NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now(),
    sent_at      timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    UNIQUE (account, email)
);

CREATE INDEX accounts_invitation_account ON accounts_invitation (account, number);
CREATE INDEX accounts_invitation_by ON accounts_invitation (invited_by);
CREATE INDEX accounts_invitation_expiry ON accounts_invitation (expires_at);

-- An owner who wants another member to be owner instead; it is done when that one says yes.
CREATE TABLE accounts_transfer (
    account      text PRIMARY KEY REFERENCES accounts_account (id) ON DELETE CASCADE,
    giver        text NOT NULL,
    receiver     text NOT NULL,
    role         text NOT NULL CHECK (role IN ('admin', 'developer', 'viewer', 'billing')),
    digest       bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    CHECK (giver <> receiver),
    FOREIGN KEY (account, giver) REFERENCES accounts_member (account, "user") ON DELETE CASCADE,
    FOREIGN KEY (account, receiver) REFERENCES accounts_member (account, "user") ON DELETE CASCADE
);
