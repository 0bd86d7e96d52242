-- The audit log. What was done is told into audit_pending, in the transaction that does it or just
-- before; one hub at a time (hub/audit/sealer.py) chains it into audit_entry. hub/tenancy.py gives
-- nobody the right to change or delete an entry; a trigger refuses it to the owner of the table too.

CREATE TABLE audit_pending (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entry       text NOT NULL UNIQUE,
    account     text NOT NULL,
    "user"      text NOT NULL,
    deed        text NOT NULL,
    origin      text,
    content     text,
    begun_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at    timestamptz             -- NULL: it is not known yet how it ended
);

-- An entry is a canonical JSON text; every other column is made of it, so none can say otherwise.
CREATE TABLE audit_entry (
    entry       text NOT NULL,
    previous    bytea NOT NULL CHECK (length(previous) = 32),
    hash        bytea NOT NULL CHECK (hash = sha256(previous || convert_to(entry, 'UTF8'))),
    account     text NOT NULL GENERATED ALWAYS AS (entry::jsonb ->> 'account') STORED,
    seq         bigint NOT NULL GENERATED ALWAYS AS ((entry::jsonb ->> 'seq')::bigint) STORED,
    id          text NOT NULL UNIQUE GENERATED ALWAYS AS (entry::jsonb ->> 'id') STORED,
    at          bigint NOT NULL GENERATED ALWAYS AS ((entry::jsonb ->> 'at')::bigint) STORED,
    project     text NOT NULL GENERATED ALWAYS AS (entry::jsonb ->> 'project') STORED,
    action      text NOT NULL GENERATED ALWAYS AS (entry::jsonb ->> 'action') STORED,
    outcome     text NOT NULL GENERATED ALWAYS AS (entry::jsonb ->> 'outcome') STORED,
    actor       text NOT NULL GENERATED ALWAYS AS (entry::jsonb #>> '{actor,id}') STORED,
    "user"      text NOT NULL GENERATED ALWAYS AS (entry::jsonb #>> '{actor,user}') STORED,
    objects     jsonb NOT NULL
                GENERATED ALWAYS AS (jsonb_path_query_array(entry::jsonb, '$.object.*')) STORED,
    PRIMARY KEY (account, seq)
);

CREATE INDEX audit_entry_project ON audit_entry (account, project, seq);
CREATE INDEX audit_entry_user ON audit_entry (account, "user", seq);
CREATE INDEX audit_entry_objects ON audit_entry USING gin (objects);

-- What may have to be erased one day: where a request came from, what was before and after. The
-- entry holds a salted hash of it, so the chain stands when it is gone.
CREATE TABLE audit_value (
    account     text NOT NULL,
    seq         bigint NOT NULL,
    part        text NOT NULL CHECK (part IN ('origin', 'content')),
    project     text NOT NULL,
    salt        bytea NOT NULL,
    value       text NOT NULL,
    PRIMARY KEY (account, seq, part)
);

-- How far each account's chain goes.
CREATE TABLE audit_chain (
    account     text PRIMARY KEY,
    seq         bigint NOT NULL,
    hash        bytea NOT NULL CHECK (length(hash) = 32),
    erased      boolean NOT NULL DEFAULT false  -- of what follows no values are kept either
);

-- Where an account has its log sent.
CREATE TABLE audit_export (
    account     text PRIMARY KEY,
    project     text NOT NULL,          -- '': nowhere
    boot        bigint NOT NULL,        -- another one for each place
    after       bigint NOT NULL,        -- the last entry that does not go there
    sent        bigint NOT NULL         -- the last entry that is known to have arrived
);

CREATE FUNCTION audit_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'audit_value' AND TG_OP = 'DELETE'
       AND current_setting('isaax.erasing', true) = 'yes' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'the audit log is only ever added to: % on %', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER audit_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry
    FOR EACH STATEMENT EXECUTE FUNCTION audit_keep();
CREATE TRIGGER audit_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_value
    FOR EACH STATEMENT EXECUTE FUNCTION audit_keep();
