-- name: open_project
-- Gives something only to who makes it.
INSERT INTO scripts_project (project, account)
VALUES (:project, :account)
ON CONFLICT DO NOTHING
RETURNING revision

-- name: lock_project
SELECT revision FROM scripts_project WHERE project = :project AND account = :account FOR UPDATE

-- name: revision
SELECT revision FROM scripts_project WHERE project = :project AND account = :account

-- name: raise_revision
UPDATE scripts_project SET revision = revision + 1 WHERE project = :project AND account = :account

-- name: add_version
INSERT INTO scripts_version (project, account, moment, version, body, timeout, changed_by)
VALUES (:project, :account, :moment, :version, :body, :timeout, :by)

-- name: drop_old_versions
DELETE FROM scripts_version
 WHERE project = :project AND account = :account AND moment = :moment AND version <= :upto

-- name: newest
-- Of each moment the version that counts.
SELECT DISTINCT ON (moment) moment, version, body, timeout, changed_by, changed_at
  FROM scripts_version
 WHERE project = :project AND account = :account
   AND (:moment::text = '' OR moment = :moment)
 ORDER BY moment, version DESC

-- name: one_version
SELECT moment, version, body, timeout, changed_by, changed_at
  FROM scripts_version
 WHERE project = :project AND account = :account AND moment = :moment AND version = :version

-- name: versions
SELECT moment, version, body, timeout, changed_by, changed_at
  FROM scripts_version
 WHERE project = :project AND account = :account AND moment = :moment
   AND (:before::bigint = 0 OR version < :before)
 ORDER BY version DESC
 LIMIT :limit

-- name: online
SELECT device
  FROM scripts_device
 WHERE project = :project AND account = :account AND session <> ''
 ORDER BY device

-- name: drop_project
-- Its versions go with it.
DELETE FROM scripts_project WHERE project = :project AND account = :account

-- name: drop_devices
-- What they ran goes with them.
DELETE FROM scripts_device WHERE project = :project AND account = :account

-- name: add_device
INSERT INTO scripts_device (device, account, project)
VALUES (:device, :account, :project)
ON CONFLICT (device) DO NOTHING

-- name: open_session
UPDATE scripts_device AS d
   SET session = :session
 WHERE d.device = :device AND d.account = :account
RETURNING d.applied <> d.lift + coalesce(
              (SELECT revision FROM scripts_project AS p WHERE p.project = d.project), 0)

-- name: open_sessions
-- In one order for everybody: two who change devices wait for each other, and never both.
WITH opened AS (
       SELECT *
         FROM unnest(:devices::text[], :accounts::text[], :sessions::text[])
           AS t (device, account, session)),
     locked AS (
       SELECT d.device
         FROM scripts_device AS d
         JOIN opened ON opened.device = d.device AND opened.account = d.account
        ORDER BY d.device
          FOR UPDATE OF d)
UPDATE scripts_device AS d
   SET session = opened.session
  FROM opened
  JOIN locked ON locked.device = opened.device
 WHERE d.device = opened.device
RETURNING d.device, d.applied <> d.lift + coalesce(
              (SELECT revision FROM scripts_project AS p WHERE p.project = d.project), 0) AS behind

-- name: close_sessions
WITH closed AS (
       SELECT *
         FROM unnest(:devices::text[], :accounts::text[], :sessions::text[])
           AS t (device, account, session)),
     locked AS (
       SELECT d.device
         FROM scripts_device AS d
         JOIN closed ON closed.device = d.device AND closed.account = d.account
                    AND closed.session = d.session
        ORDER BY d.device
          FOR UPDATE OF d)
UPDATE scripts_device AS d
   SET session = ''
  FROM locked
 WHERE d.device = locked.device

-- name: close_session
UPDATE scripts_device
   SET session = ''
 WHERE device = :device AND account = :account AND session = :session

-- name: drop_device
DELETE FROM scripts_device WHERE device = :device AND account = :account

-- name: wanted
-- Also of a device that is not known yet: it says hello as soon as it is registered.
SELECT p.revision + coalesce(d.lift, 0)
  FROM scripts_project AS p
  LEFT JOIN scripts_device AS d ON d.project = p.project AND d.device = :device
 WHERE p.project = :project

-- name: note_reports
-- A device that is ahead has it from before a restore: the next version is beyond it.
WITH told AS (
       SELECT *
         FROM unnest(:devices::text[], :projects::text[], :versions::bigint[], :errors::text[])
           AS t (device, project, applied, error)),
     locked AS (
       SELECT d.device, coalesce(p.revision, 0) AS revision
         FROM scripts_device AS d
         JOIN told ON told.device = d.device AND told.project = d.project
         LEFT JOIN scripts_project AS p ON p.project = d.project
        ORDER BY d.device
          FOR UPDATE OF d)
UPDATE scripts_device AS d
   SET applied = told.applied, error = told.error, reported_at = now(),
       lift = CASE WHEN told.applied > locked.revision + d.lift AND locked.revision > 0
                   THEN told.applied + 1 - locked.revision ELSE d.lift END
  FROM told
  JOIN locked ON locked.device = told.device
 WHERE d.device = told.device
RETURNING d.device,
          CASE WHEN locked.revision > 0 THEN locked.revision + d.lift ELSE d.applied END AS version,
          d.applied, d.error

-- name: behind
SELECT d.device, d.session, p.revision + d.lift AS version
  FROM scripts_device AS d
  JOIN scripts_project AS p ON p.project = d.project
 WHERE d.session <> '' AND d.applied <> p.revision + d.lift AND d.device > :after
 ORDER BY d.device
 LIMIT :limit

-- name: targets
SELECT d.device, d.project, d.session, p.revision + d.lift AS version
  FROM scripts_device AS d
  JOIN scripts_project AS p ON p.project = d.project
 WHERE d.device = ANY (:devices::text[])

-- name: newest_of
SELECT DISTINCT ON (project, moment) project, moment, version, body, timeout
  FROM scripts_version
 WHERE project = ANY (:projects::text[])
 ORDER BY project, moment, version DESC

-- name: statuses
-- Versions are counted as the project counts them, whatever a device was ahead by.
SELECT d.number, d.device, d.session <> '' AS online, coalesce(p.revision, 0) AS version,
       greatest(d.applied - d.lift, 0) AS applied, d.error, d.reported_at
  FROM scripts_device AS d
  LEFT JOIN scripts_project AS p ON p.project = d.project
 WHERE d.account = :account AND d.project = :project AND d.number > :after
   AND (:pending::boolean IS NULL
        OR (d.applied <> coalesce(p.revision, 0) + d.lift) = :pending)
 ORDER BY d.number
 LIMIT :limit

-- name: add_ran
-- Told again, it is there already.
INSERT INTO scripts_ran (device, id, account, moment, version, status, code, output, error,
                         seconds, started_at)
SELECT device, :id, account, :moment, :version, :status, :code, :output, :error, :seconds,
       to_timestamp(:at::float8)
  FROM scripts_device
 WHERE device = :device AND project = :project
ON CONFLICT (device, id) DO NOTHING

-- name: knows_device
SELECT EXISTS (SELECT FROM scripts_device WHERE device = :device AND project = :project)

-- name: drop_old_ran
DELETE FROM scripts_ran
 WHERE device = :device
   AND (received_at < now() - make_interval(days => :days::int)
        OR number <= (SELECT number FROM scripts_ran WHERE device = :device
                       ORDER BY number DESC OFFSET :most LIMIT 1))

-- name: ran
SELECT number, moment, version, status, code, output, error, seconds, started_at, received_at
  FROM scripts_ran
 WHERE device = :device AND account = :account AND (:before::bigint = 0 OR number < :before)
 ORDER BY number DESC
 LIMIT :limit

-- name: count
SELECT (SELECT count(*) FROM scripts_version WHERE account = :account) AS script_versions,
       (SELECT count(*) FROM scripts_device WHERE account = :account) AS script_statuses,
       (SELECT count(*) FROM scripts_ran WHERE account = :account) AS script_results

-- name: export
SELECT jsonb_build_object(
           'project', project, 'moment', moment, 'version', version, 'body', body,
           'timeout', timeout, 'changed_by', changed_by, 'changed_at', changed_at) AS record
  FROM scripts_version
 WHERE account = :account
 ORDER BY project, moment, version
 OFFSET :offset LIMIT :limit

-- name: erase_projects
DELETE FROM scripts_project WHERE account = :account

-- name: erase_devices
DELETE FROM scripts_device WHERE account = :account
