-- Beside the marks: how many lines (or samples) of each project the streams of logs and of metrics
-- had taken when they had come to the checkpoint's sequence.
CREATE TABLE relay_counts (
    kind text NOT NULL,
    project text NOT NULL,
    lines bigint NOT NULL,
    PRIMARY KEY (kind, project)
);
