-- What the operator of the hub lets a project send; NULL is what the hub's settings say, 0 no limit.
ALTER TABLE projects_project
    ADD COLUMN lines_per_second double precision CHECK (lines_per_second >= 0),
    ADD COLUMN bytes_per_second double precision CHECK (bytes_per_second >= 0),
    ADD COLUMN lines_per_day bigint CHECK (lines_per_day >= 0);

-- What each project sent on each day, in UTC.
CREATE TABLE projects_usage (
    account     text NOT NULL,
    project     text NOT NULL REFERENCES projects_project (id) ON DELETE CASCADE,
    day         date NOT NULL,
    lines       bigint NOT NULL DEFAULT 0,
    samples     bigint NOT NULL DEFAULT 0,
    bytes       bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (project, day)
);
