-- name: open_level
INSERT INTO envars_level (account, project, level, target)
VALUES (:account, :project, :level, :target)
ON CONFLICT DO NOTHING

-- name: lock_level
SELECT version
  FROM envars_level
 WHERE account = :account AND project = :project AND level = :level AND target = :target
   FOR UPDATE

-- name: level_version
SELECT version
  FROM envars_level
 WHERE account = :account AND project = :project AND level = :level AND target = :target

-- name: variables
SELECT name, value, sealed, restart, uses, version, changed_at, level, target
  FROM envars_variable
 WHERE account = :account AND project = :project AND level = :level AND target = :target
 ORDER BY name

-- name: raise_level
UPDATE envars_level
   SET version = version + 1
 WHERE account = :account AND project = :project AND level = :level AND target = :target
RETURNING version

-- name: drop_variables
DELETE FROM envars_variable
 WHERE account = :account AND project = :project AND level = :level AND target = :target
   AND name = ANY (:names::text[])

-- name: put_variable
INSERT INTO envars_variable
       (account, project, level, target, name, value, sealed, restart, uses, version)
VALUES (:account, :project, :level, :target, :name, :value, :sealed, :restart, :uses, :version)
ON CONFLICT (project, level, target, name) DO UPDATE
   SET value = excluded.value, sealed = excluded.sealed, restart = excluded.restart,
       uses = excluded.uses, version = excluded.version, changed_at = now()

-- name: bump
-- Devices for which a change of these names at a level counts: nothing nearer to them has the name.
-- Asked for level by level: by one condition for both, all variables are looked at for each device.
-- In one order for everybody, so that two who change devices wait for each other, and never both.
WITH concerned AS (
       SELECT d.device
         FROM envars_device AS d
        WHERE d.account = :account AND d.project = :project
          AND (:level::text = 'project'
               OR (:level = 'group' AND d."group" = :target::text)
               OR (:level = 'device' AND d.device = :target))
          AND EXISTS (
              SELECT FROM unnest(:names::text[]) AS changed (name)
               WHERE NOT EXISTS (
                     SELECT FROM envars_variable AS own
                      WHERE :level <> 'device'
                        AND own.project = d.project AND own.level = 'device'
                        AND own.target = d.device AND own.name = changed.name)
                 AND NOT EXISTS (
                     SELECT FROM envars_variable AS of_group
                      WHERE :level = 'project'
                        AND of_group.project = d.project AND of_group.level = 'group'
                        AND of_group.target = d."group" AND of_group.name = changed.name))
        ORDER BY d.device
          FOR UPDATE)
UPDATE envars_device AS d
   SET version = d.version + 1, error = ''
  FROM concerned
 WHERE d.device = concerned.device
RETURNING d.device

-- name: add_device
INSERT INTO envars_device (device, account, project, label, "group")
VALUES (:device, :account, :project, :label, :group)
ON CONFLICT (device) DO NOTHING

-- name: open_session
UPDATE envars_device
   SET session = :session
 WHERE device = :device AND account = :account
RETURNING applied <> version

-- name: open_sessions
-- In one order for everybody, as above.
WITH opened AS (
       SELECT *
         FROM unnest(:devices::text[], :accounts::text[], :sessions::text[])
           AS t (device, account, session)),
     locked AS (
       SELECT d.device
         FROM envars_device AS d
         JOIN opened ON opened.device = d.device AND opened.account = d.account
        ORDER BY d.device
          FOR UPDATE OF d)
UPDATE envars_device AS d
   SET session = opened.session
  FROM opened
  JOIN locked ON locked.device = opened.device
 WHERE d.device = opened.device
RETURNING d.device, d.applied <> d.version AS behind

-- name: close_sessions
WITH closed AS (
       SELECT *
         FROM unnest(:devices::text[], :accounts::text[], :sessions::text[])
           AS t (device, account, session)),
     locked AS (
       SELECT d.device
         FROM envars_device AS d
         JOIN closed ON closed.device = d.device AND closed.account = d.account
                    AND closed.session = d.session
        ORDER BY d.device
          FOR UPDATE OF d)
UPDATE envars_device AS d
   SET session = ''
  FROM locked
 WHERE d.device = locked.device

-- name: close_session
UPDATE envars_device
   SET session = ''
 WHERE device = :device AND account = :account AND session = :session

-- name: describe_device
-- A new label counts where it is filled in; a new group always may.
UPDATE envars_device AS d
   SET label = :label, "group" = :group,
       version = d.version + CASE
           WHEN d."group" <> :group THEN 1
           WHEN d.label <> :label AND EXISTS (
                SELECT FROM envars_variable AS v
                 WHERE v.project = d.project AND 'DEVICE_LABEL' = ANY (v.uses)) THEN 1
           ELSE 0 END
 WHERE d.device = :device AND d.project = :project
   AND (d.label <> :label OR d."group" <> :group)

-- name: drop_device
DELETE FROM envars_device WHERE device = :device AND account = :account

-- name: forget_device
-- Of one that the service `devices` has no more: it says in which project, and not whose.
DELETE FROM envars_device WHERE device = :device AND project = :project

-- name: forget_device_level
DELETE FROM envars_level WHERE project = :project AND level = 'device' AND target = :device

-- name: device
SELECT device, version, applied, error
  FROM envars_device
 WHERE device = :device AND account = :account

-- name: wanted
SELECT version FROM envars_device WHERE device = :device AND project = :project

-- name: note_reports
-- A device that is ahead has it from before a restore: the next version is beyond it.
WITH told AS (
       SELECT *
         FROM unnest(:devices::text[], :projects::text[], :versions::bigint[], :errors::text[])
           AS t (device, project, applied, error)),
     locked AS (
       SELECT d.device
         FROM envars_device AS d
         JOIN told ON told.device = d.device AND told.project = d.project
        ORDER BY d.device
          FOR UPDATE OF d)
UPDATE envars_device AS d
   SET applied = told.applied, error = told.error, reported_at = now(),
       version = CASE WHEN told.applied > d.version THEN told.applied + 1 ELSE d.version END
  FROM told
  JOIN locked ON locked.device = told.device
 WHERE d.device = told.device
RETURNING d.device, d.version, d.applied, d.error

-- name: behind
SELECT device, session, version
  FROM envars_device
 WHERE session <> '' AND applied <> version AND device > :after
 ORDER BY device
 LIMIT :limit

-- name: targets
SELECT device, account, project, label, "group", session, version
  FROM envars_device
 WHERE device = ANY (:devices::text[])

-- name: variables_for
-- All that may count for these devices: whose account it is comes with them.
SELECT account, project, name, value, sealed, restart, uses, version, changed_at, level, target
  FROM envars_variable
 WHERE project = ANY (:projects::text[])
   AND (level = 'project'
        OR (level = 'group' AND target = ANY (:groups::text[]))
        OR (level = 'device' AND target = ANY (:devices::text[])))

-- name: statuses
SELECT number, device, label, "group", session <> '' AS online, version, applied, error, reported_at
  FROM envars_device
 WHERE account = :account AND project = :project AND number > :after
   AND (:pending::boolean IS NULL OR (applied <> version) = :pending)
 ORDER BY number
 LIMIT :limit

-- name: drop_level
DELETE FROM envars_level
 WHERE account = :account AND project = :project AND level = :level AND target = :target

-- name: drop_unused
-- A project's level that only was its lock.
DELETE FROM envars_level AS l
 WHERE account = :account AND project = :project AND level = 'project' AND version = 1
   AND NOT EXISTS (SELECT FROM envars_variable AS v
                    WHERE v.project = l.project AND v.level = 'project')

-- name: drop_levels
DELETE FROM envars_level WHERE account = :account AND project = :project

-- name: drop_devices
DELETE FROM envars_device WHERE account = :account AND project = :project

-- name: count
SELECT (SELECT count(*) FROM envars_variable WHERE account = :account) AS envars,
       (SELECT count(*) FROM envars_device WHERE account = :account) AS envar_statuses

-- name: export
SELECT jsonb_build_object(
           'project', project, 'level', level, 'target', target, 'name', name, 'value', value,
           'secret', sealed IS NOT NULL, 'restart', restart, 'changed_at', changed_at) AS record
  FROM envars_variable
 WHERE account = :account
 ORDER BY project, level, target, name
 OFFSET :offset LIMIT :limit

-- name: erase_levels
-- Their variables go with them.
DELETE FROM envars_level WHERE account = :account

-- name: erase_devices
DELETE FROM envars_device WHERE account = :account
