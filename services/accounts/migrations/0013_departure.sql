-- People who are to be deleted: nothing that is theirs changes, and they may undo it until it is due.
-- The row outlives the person, until nothing else tells of them.
CREATE TABLE accounts_departure (
    "user"       text PRIMARY KEY,
    requested_at timestamptz NOT NULL,
    due_at       timestamptz NOT NULL,
    digest       bytea NOT NULL UNIQUE CHECK (length(digest) = 32),  -- of the link that undoes it
    gone_at      timestamptz,                   -- the person is; what tells of them may not be yet
    credentials  text[] NOT NULL DEFAULT '{}',  -- ids of the sessions and tokens that they had then
    next_at      timestamptz NOT NULL DEFAULT now(),
    attempts     integer NOT NULL DEFAULT 0,
    error        text NOT NULL DEFAULT ''
);

CREATE INDEX accounts_departure_due ON accounts_departure (due_at);

-- Of accounts that go along with a person: who brings that one back brings them back.
ALTER TABLE accounts_deletion ADD COLUMN along_with text;

CREATE INDEX accounts_deletion_along ON accounts_deletion (along_with);
