-- The relay's checkpoint: how far each device's streams were durable when a shard's stream had
-- come to `sequence`. What lies after that is read from the stream's headers at the next start.
--
-- These rows have no account: the relay knows projects only, and nobody queries them on behalf of
-- a caller.
CREATE TABLE relay_marks (
    project text NOT NULL,
    device text NOT NULL,
    stream text NOT NULL,
    boot bigint NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (project, device, stream)
);

CREATE TABLE relay_checkpoints (
    shard text PRIMARY KEY,
    sequence bigint NOT NULL
);
