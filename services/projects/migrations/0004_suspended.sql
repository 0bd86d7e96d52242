-- Accounts that are being deleted: their tokens let nobody in, unless that is undone.
CREATE TABLE projects_suspended (
    account     text PRIMARY KEY,
    since       timestamptz NOT NULL DEFAULT now()
);
