-- Which token a device registered with, and whether somebody has to approve it first.
ALTER TABLE auth_device
    ADD COLUMN token text NOT NULL DEFAULT '',
    DROP CONSTRAINT auth_device_status_check,
    ADD CONSTRAINT auth_device_status_check
        CHECK (status IN ('waiting', 'pending', 'active', 'revoked', 'quarantined'));

CREATE INDEX auth_device_token ON auth_device (token);
DROP INDEX auth_device_pending;
CREATE INDEX auth_device_pending ON auth_device (registered_at)
 WHERE status IN ('waiting', 'pending');
