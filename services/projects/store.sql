-- name: add_project
INSERT INTO projects_project (id, account, name) VALUES (:id, :account, :name)
RETURNING id, account, number, name, version, created_at, updated_at

-- name: get_project
SELECT id, account, number, name, version, created_at, updated_at
  FROM projects_project
 WHERE id = :project AND account = :account

-- name: lock_project
SELECT id, account, number, name, version, created_at, updated_at
  FROM projects_project
 WHERE id = :project AND account = :account
   FOR UPDATE

-- name: list_projects
SELECT id, account, number, name, version, created_at, updated_at
  FROM projects_project
 WHERE account = :account AND number > :after
 ORDER BY number
 LIMIT :limit

-- name: rename_project
UPDATE projects_project
   SET name = :name, version = version + 1, updated_at = now()
 WHERE id = :project AND account = :account
RETURNING id, account, number, name, version, created_at, updated_at

-- name: delete_project
DELETE FROM projects_project WHERE id = :project AND account = :account

-- name: free_slot
SELECT slot
  FROM (VALUES (1), (2)) AS slots (slot)
 WHERE NOT EXISTS (
       SELECT FROM projects_token AS t
        WHERE t.project = :project AND t.account = :account AND t.slot = slots.slot)
 ORDER BY slot
 LIMIT 1

-- name: add_token
INSERT INTO projects_token (id, account, project, name, prefix, digest, slot, expires_at,
                            max_devices, "group", approval)
VALUES (:id, :account, :project, :name, :prefix, :digest, :slot, :expires_at, :max_devices, :group,
        :approval)
RETURNING id, project, number, name, prefix, version, created_at, expires_at, max_devices, "group",
          approval, encode(digest, 'hex') AS digest

-- name: change_token
UPDATE projects_token
   SET name = :name, expires_at = :expires_at, max_devices = :max_devices, "group" = :group,
       approval = :approval, version = version + 1
 WHERE id = :token AND project = :project AND account = :account
RETURNING id, project, number, name, prefix, version, created_at, expires_at, max_devices, "group",
          approval, encode(digest, 'hex') AS digest

-- name: list_tokens
SELECT id, project, number, name, prefix, version, created_at, expires_at, max_devices, "group",
       approval
  FROM projects_token
 WHERE project = :project AND account = :account AND number > :after
 ORDER BY number
 LIMIT :limit

-- name: get_token
SELECT id, project, number, name, prefix, version, created_at, expires_at, max_devices, "group",
       approval
  FROM projects_token
 WHERE id = :token AND project = :project AND account = :account

-- name: delete_token
DELETE FROM projects_token
 WHERE id = :token AND project = :project AND account = :account
RETURNING encode(digest, 'hex') AS digest

-- name: delete_tokens
DELETE FROM projects_token
 WHERE project = :project AND account = :account
RETURNING encode(digest, 'hex') AS digest

-- name: list_digests
SELECT number, account, project, encode(digest, 'hex') AS digest, id, expires_at, max_devices,
       "group", approval
  FROM projects_token AS t
 WHERE number > :after
   AND NOT EXISTS (SELECT FROM projects_suspended AS s WHERE s.account = t.account)
 ORDER BY number
 LIMIT :limit

-- name: token_owner
SELECT project
  FROM projects_token AS t
 WHERE digest = decode(:digest, 'hex')
   AND NOT EXISTS (SELECT FROM projects_suspended AS s WHERE s.account = t.account)

-- name: accounts
-- For the relay alone: it shares room among accounts.
SELECT id AS project, account FROM projects_project WHERE id = ANY(:projects::text[])

-- name: limits
-- Of any project: the relay knows no accounts.
SELECT p.lines_per_second, p.bytes_per_second, p.lines_per_day,
       to_char(CAST(:day AS date), 'YYYY-MM-DD') AS day,
       coalesce(u.lines, 0) AS lines, coalesce(u.samples, 0) AS samples
  FROM projects_project AS p
  LEFT JOIN projects_usage AS u ON u.project = p.id AND u.day = :day
 WHERE p.id = :project

-- name: get_limits
SELECT p.lines_per_second, p.bytes_per_second, p.lines_per_day,
       to_char(CAST(:day AS date), 'YYYY-MM-DD') AS day, coalesce(u.lines, 0) AS lines,
       coalesce(u.samples, 0) AS samples, coalesce(u.bytes, 0) AS bytes
  FROM projects_project AS p
  LEFT JOIN projects_usage AS u ON u.project = p.id AND u.day = :day
 WHERE p.id = :project AND p.account = :account

-- name: set_limits
UPDATE projects_project
   SET lines_per_second = CAST(:lines_per_second AS double precision),
       bytes_per_second = CAST(:bytes_per_second AS double precision),
       lines_per_day = CAST(:lines_per_day AS bigint)
 WHERE id = :project
RETURNING account

-- name: note_usage
-- Nothing is noted of a project that is gone.
INSERT INTO projects_usage (account, project, day, lines, samples, bytes)
SELECT account, id, CAST(:day AS date), CAST(:lines AS bigint), CAST(:samples AS bigint),
       CAST(:bytes AS bigint)
  FROM projects_project
 WHERE id = :project
ON CONFLICT (project, day) DO UPDATE
   SET lines = projects_usage.lines + excluded.lines,
       samples = projects_usage.samples + excluded.samples,
       bytes = projects_usage.bytes + excluded.bytes

-- name: is_suspended
SELECT EXISTS (SELECT FROM projects_suspended WHERE account = :account)

-- name: suspend
INSERT INTO projects_suspended (account) VALUES (:account) ON CONFLICT DO NOTHING

-- name: resume
DELETE FROM projects_suspended WHERE account = :account

-- name: account_tokens
SELECT id, project, number, name, prefix, version, created_at, expires_at, max_devices, "group",
       approval, encode(digest, 'hex') AS digest
  FROM projects_token
 WHERE account = :account
 ORDER BY number

-- name: count
SELECT (SELECT count(*) FROM projects_project WHERE account = :account) AS projects,
       (SELECT count(*) FROM projects_token WHERE account = :account) AS project_tokens

-- name: export_projects
SELECT jsonb_build_object(
           'id', id, 'name', name, 'created_at', created_at, 'updated_at', updated_at,
           'lines_per_second', lines_per_second, 'bytes_per_second', bytes_per_second,
           'lines_per_day', lines_per_day) AS record
  FROM projects_project
 WHERE account = :account
 ORDER BY number
 OFFSET :offset LIMIT :limit

-- name: export_project_tokens
SELECT jsonb_build_object(
           'id', id, 'project', project, 'name', name, 'prefix', prefix,
           'created_at', created_at, 'expires_at', expires_at, 'max_devices', max_devices,
           'group', "group", 'approval', approval) AS record
  FROM projects_token
 WHERE account = :account
 ORDER BY number
 OFFSET :offset LIMIT :limit

-- name: export_usage
SELECT jsonb_build_object(
           'project', project, 'day', day, 'lines', lines, 'samples', samples,
           'bytes', bytes) AS record
  FROM projects_usage
 WHERE account = :account
 ORDER BY day, project
 OFFSET :offset LIMIT :limit
