-- How many dead letters each source had when the stream DEAD had come to `sequence`: what is not
-- there any more at the next start, age has taken meanwhile. And how many were lost so far, to age
-- or for want of room. A source is an integration, or `intake`.
CREATE TABLE relay_letters (
    project text NOT NULL,
    source text NOT NULL,
    letters bigint NOT NULL,
    lines bigint NOT NULL,
    sequence bigint NOT NULL,
    lost_letters bigint NOT NULL,
    lost_lines bigint NOT NULL,
    PRIMARY KEY (project, source)
);

-- How many lines of each integration were ever put into its replay: what was not delivered of them
-- and is not in the stream any more, age has taken.
CREATE TABLE relay_replayed (
    integration text PRIMARY KEY,
    lines bigint NOT NULL
);
