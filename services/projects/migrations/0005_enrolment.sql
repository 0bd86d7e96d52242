-- What a token lets devices register. Devices that are registered go on connecting with it.
ALTER TABLE projects_token
    ADD COLUMN version      bigint NOT NULL DEFAULT 1,
    ADD COLUMN expires_at   timestamptz,
    ADD COLUMN max_devices  integer CHECK (max_devices >= 0),
    ADD COLUMN "group"      text NOT NULL DEFAULT 'default'
                            CHECK ("group" ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    ADD COLUMN approval     boolean NOT NULL DEFAULT false;
