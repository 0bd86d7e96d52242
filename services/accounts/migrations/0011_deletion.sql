-- Accounts that are to be deleted: nothing in them changes, and an owner may undo it until the
-- erasure begins, which is then done to its end, however often it is interrupted.
CREATE TABLE accounts_deletion (
    account      text PRIMARY KEY REFERENCES accounts_account (id) ON DELETE CASCADE,
    requested_at timestamptz NOT NULL,
    due_at       timestamptz NOT NULL,
    digest       bytea NOT NULL UNIQUE CHECK (length(digest) = 32),  -- of the link that undoes it
    begun_at     timestamptz,
    projects     text[] NOT NULL DEFAULT '{}',  -- all that it had when the erasure began,
    integrations text[] NOT NULL DEFAULT '{}',
    counted      jsonb NOT NULL DEFAULT '{}',   -- and how much of everything, by who keeps it
    done         text[] NOT NULL DEFAULT '{}',  -- who has nothing left of it
    lease        uuid,
    next_at      timestamptz NOT NULL DEFAULT now(),  -- of one at work: when its lease ends
    attempts     integer NOT NULL DEFAULT 0,
    error        text NOT NULL DEFAULT ''
);

CREATE INDEX accounts_deletion_due ON accounts_deletion (due_at);

-- That an account was erased, when, and how much there was: nobody can tell which one it was who
-- does not know its id.
CREATE TABLE accounts_erased (
    id           text PRIMARY KEY,
    digest       bytea NOT NULL CHECK (length(digest) = 32),  -- SHA-256 of the account's id
    requested_at timestamptz NOT NULL,
    begun_at     timestamptz NOT NULL,
    erased_at    timestamptz NOT NULL,
    counted      jsonb NOT NULL
);

CREATE INDEX accounts_erased_digest ON accounts_erased (digest);

-- What was asked for, to be taken along: written anew for whoever fetches it.
CREATE TABLE accounts_export (
    id           text PRIMARY KEY,
    account      text NOT NULL REFERENCES accounts_account (id) ON DELETE CASCADE,
    made_by      text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL
);

CREATE INDEX accounts_export_account ON accounts_export (account, expires_at);
