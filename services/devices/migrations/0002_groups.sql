ALTER TABLE devices_device
    ADD COLUMN "group" text NOT NULL DEFAULT 'default'
        CHECK ("group" ~ '^[a-z0-9][a-z0-9._-]{0,62}$');
