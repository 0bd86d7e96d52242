-- Mails on their way. What is in clear tells an operator how they fare; the mail itself, with its
-- address and its links, is sealed by the data key of its account ('' is the hub itself).
CREATE TABLE mail_message (
    id          text PRIMARY KEY,
    number      bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    account     text NOT NULL,
    kind        text NOT NULL,
    sealed      bytea NOT NULL,  -- empty once it was sent
    state       text NOT NULL DEFAULT 'waiting'
                CHECK (state IN ('waiting', 'sent', 'kept', 'failed')),
    attempts    integer NOT NULL DEFAULT 0,
    due_at      timestamptz NOT NULL DEFAULT now(),  -- of one at work: when its lease ends
    lease       uuid,
    error       text NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL DEFAULT now(),
    changed_at  timestamptz NOT NULL DEFAULT now(),
    give_up_at  timestamptz NOT NULL
);

CREATE INDEX mail_message_due ON mail_message (due_at) WHERE state = 'waiting';
CREATE INDEX mail_message_account ON mail_message (account);
