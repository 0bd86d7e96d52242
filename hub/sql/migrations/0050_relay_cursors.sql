-- How far each lane of an integration is done, at most a few seconds old: what retention takes
-- beyond it is a gap, even when it is taken while the hub is down.
CREATE TABLE relay_cursors (
    integration text NOT NULL,
    lane text NOT NULL,
    start_at bigint NOT NULL,
    sequence bigint NOT NULL,
    line bigint NOT NULL,
    gap_lines bigint NOT NULL,
    PRIMARY KEY (integration, lane)
);
