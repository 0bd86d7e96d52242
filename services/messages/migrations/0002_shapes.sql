ALTER TABLE messages_integration
    ADD COLUMN shape jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN start_at timestamptz;  -- what a replay asked for; NULL: since it was made
