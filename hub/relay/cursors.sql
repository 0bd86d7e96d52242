-- name: cursors
SELECT integration, lane, start_at, sequence, line, gap_lines FROM relay_cursors
WHERE integration = :integration;

-- name: put_cursors
INSERT INTO relay_cursors (integration, lane, start_at, sequence, line, gap_lines)
SELECT * FROM unnest(
    CAST(:integrations AS text[]), CAST(:lanes AS text[]), CAST(:start_ats AS bigint[]),
    CAST(:sequences AS bigint[]), CAST(:lines AS bigint[]), CAST(:gaps AS bigint[])
)
ON CONFLICT (integration, lane) DO UPDATE SET
    start_at = excluded.start_at, sequence = excluded.sequence, line = excluded.line,
    gap_lines = excluded.gap_lines;

-- name: delete_cursors
DELETE FROM relay_cursors WHERE integration = :integration;

-- name: taken
SELECT lines FROM relay_counts WHERE kind = :kind AND project = :project;

-- name: replayed
SELECT lines FROM relay_replayed WHERE integration = :integration;

-- name: put_replayed
INSERT INTO relay_replayed (integration, lines) VALUES (:integration, :lines)
ON CONFLICT (integration) DO UPDATE SET lines = excluded.lines
WHERE excluded.lines > relay_replayed.lines;

-- name: delete_replayed
DELETE FROM relay_replayed WHERE integration = :integration;
