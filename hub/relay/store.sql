-- name: marks
SELECT project, device, stream, boot, seq FROM relay_marks;

-- name: checkpoints
SELECT shard, sequence FROM relay_checkpoints;

-- name: put_marks
-- A mark only ever grows, whoever writes it.
INSERT INTO relay_marks (project, device, stream, boot, seq)
SELECT * FROM unnest(
    CAST(:projects AS text[]), CAST(:devices AS text[]), CAST(:streams AS text[]),
    CAST(:boots AS bigint[]), CAST(:seqs AS bigint[])
)
ON CONFLICT (project, device, stream) DO UPDATE SET boot = excluded.boot, seq = excluded.seq
WHERE (excluded.boot, excluded.seq) > (relay_marks.boot, relay_marks.seq);

-- name: put_checkpoint
INSERT INTO relay_checkpoints (shard, sequence) VALUES (:shard, :sequence)
ON CONFLICT (shard) DO UPDATE SET sequence = excluded.sequence;

-- name: counts
SELECT kind, project, lines FROM relay_counts;

-- name: put_counts
INSERT INTO relay_counts (kind, project, lines)
SELECT * FROM unnest(
    CAST(:kinds AS text[]), CAST(:projects AS text[]), CAST(:lines AS bigint[])
)
ON CONFLICT (kind, project) DO UPDATE SET lines = excluded.lines
WHERE excluded.lines > relay_counts.lines;
