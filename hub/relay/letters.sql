-- name: letters
SELECT project, source, letters, lines, sequence, lost_letters, lost_lines FROM relay_letters;

-- name: put_letters
INSERT INTO relay_letters
    (project, source, letters, lines, sequence, lost_letters, lost_lines)
SELECT * FROM unnest(
    CAST(:projects AS text[]), CAST(:sources AS text[]), CAST(:letters AS bigint[]),
    CAST(:lines AS bigint[]), CAST(:sequences AS bigint[]), CAST(:lost_letters AS bigint[]),
    CAST(:lost_lines AS bigint[])
)
ON CONFLICT (project, source) DO UPDATE SET
    letters = excluded.letters, lines = excluded.lines, sequence = excluded.sequence,
    lost_letters = excluded.lost_letters, lost_lines = excluded.lost_lines;

-- name: delete_letters
DELETE FROM relay_letters
WHERE source = :source AND (CAST(:project AS text) IS NULL OR project = :project);

-- name: delete_project
DELETE FROM relay_letters WHERE project = :project;
