-- name: add_device
INSERT INTO devices_device (id, account, project, label, "group", agent, system, status)
VALUES (:device, :account, :project, :label, :group, :agent, :system, :status)
ON CONFLICT (id) DO NOTHING

-- name: open_session
UPDATE devices_device
   SET session = :session, status = 'active', last_seen_at = now(), version = version + 1,
       agent = :agent, system = :system, addresses = :addresses::text[]
 WHERE id = :device AND account = :account

-- name: open_sessions
-- In one order for everybody: two who change devices wait for each other, and never both.
WITH opened AS (
       SELECT *
         FROM unnest(:devices::text[], :accounts::text[], :sessions::text[], :agents::text[],
                     :systems::text[], :addresses::text[])
           AS t (device, account, session, agent, system, addresses)),
     locked AS (
       SELECT d.id
         FROM devices_device AS d
         JOIN opened ON opened.device = d.id AND opened.account = d.account
        ORDER BY d.id
          FOR UPDATE OF d)
UPDATE devices_device AS d
   SET session = opened.session, status = 'active', last_seen_at = now(), version = version + 1,
       agent = opened.agent, system = opened.system,
       addresses = string_to_array(opened.addresses, ',')
  FROM opened
  JOIN locked ON locked.id = opened.device
 WHERE d.id = opened.device

-- name: close_sessions
WITH closed AS (
       SELECT *
         FROM unnest(:devices::text[], :accounts::text[], :sessions::text[])
           AS t (device, account, session)),
     locked AS (
       SELECT d.id
         FROM devices_device AS d
         JOIN closed ON closed.device = d.id AND closed.account = d.account
                    AND closed.session = d.session
        ORDER BY d.id
          FOR UPDATE OF d)
UPDATE devices_device AS d
   SET session = '', last_seen_at = now(), version = version + 1
  FROM locked
 WHERE d.id = locked.id

-- name: close_session
UPDATE devices_device
   SET session = '', last_seen_at = now(), version = version + 1
 WHERE id = :device AND account = :account AND session = :session

-- name: approve
UPDATE devices_device
   SET status = 'pending', version = version + 1
 WHERE id = :device AND account = :account AND status = 'waiting'

-- name: set_status
UPDATE devices_device
   SET status = :status, session = '', version = version + 1
 WHERE id = :device AND account = :account

-- name: get_device
SELECT id, number, account, project, label, "group", tags, addresses, agent, system, status,
       session <> '' AS online, version, registered_at, last_seen_at, app_state, app_revision,
       app_programs, app_reported_at
  FROM devices_device
 WHERE id = :device AND account = :account

-- name: lock_device
SELECT id, number, account, project, label, "group", tags, addresses, agent, system, status,
       session <> '' AS online, version, registered_at, last_seen_at, app_state, app_revision,
       app_programs, app_reported_at
  FROM devices_device
 WHERE id = :device AND account = :account
   FOR UPDATE

-- name: list_devices
SELECT id, number, account, project, label, "group", tags, addresses, agent, system, status,
       session <> '' AS online, version, registered_at, last_seen_at, app_state, app_revision,
       app_programs, app_reported_at
  FROM devices_device
 WHERE account = :account AND project = :project AND number > :after
   AND (:online::boolean IS NULL OR (session <> '') = :online)
   AND (:label::text = '' OR label = :label)
   AND (:group::text = '' OR "group" = :group)
   AND (:status::text = '' OR status = :status)
   AND (:app::text = '' OR app_state = :app)
   AND (:revision::text = '' OR app_revision = :revision)
   AND tags @> :tags::text[]
   AND (:text::text = '' OR strpos(lower(concat_ws(' ', id, label, "group", agent, system, app_revision,
            array_to_string(tags, ' '), array_to_string(addresses, ' '))), lower(:text)) > 0)
 ORDER BY number
 LIMIT :limit

-- name: change_device
UPDATE devices_device
   SET label = :label, "group" = :group, tags = :tags::text[], version = version + 1
 WHERE id = :device AND account = :account
RETURNING id, number, account, project, label, "group", tags, addresses, agent, system, status,
          session <> '' AS online, version, registered_at, last_seen_at, app_state, app_revision,
          app_programs, app_reported_at

-- name: lock_devices
-- In one order for everybody: two requests for the same devices wait for each other, and never both.
SELECT id, version, tags
  FROM devices_device
 WHERE account = :account AND project = :project AND id = ANY (:devices::text[])
 ORDER BY id
   FOR UPDATE

-- name: change_devices
UPDATE devices_device AS device
   SET label = coalesce(change.label, device.label),
       "group" = coalesce(change."group", device."group"),
       tags = string_to_array(change.tags, ','),
       version = version + 1
  FROM unnest(:devices::text[], :labels::text[], :groups::text[], :tags::text[])
       AS change (id, label, "group", tags)
 WHERE device.id = change.id AND device.account = :account
RETURNING device.id, device.version

-- name: note_apps
-- What an earlier message said gives way; `since` is told as seconds, on the database's clock.
WITH told AS (
       SELECT *
         FROM unnest(:devices::text[], :projects::text[], :states::text[], :revisions::text[],
                     :programs::text[])
           AS t (device, project, state, revision, programs)),
     locked AS (  -- in one order for everybody, as where sessions are taken up
       SELECT d.id
         FROM devices_device AS d
         JOIN told ON told.device = d.id AND told.project = d.project
        ORDER BY d.id
          FOR UPDATE OF d)
UPDATE devices_device AS d
   SET app_state = told.state, app_revision = told.revision, app_programs = told.programs::jsonb,
       app_reported_at = now(), version = d.version + 1
  FROM told
  JOIN locked ON locked.id = told.device
 WHERE d.id = told.device

-- name: delete_device
DELETE FROM devices_device WHERE id = :device AND account = :account

-- name: delete_project
DELETE FROM devices_device WHERE project = :project AND account = :account

-- name: describe
SELECT id, CASE WHEN label = '' THEN id ELSE label END AS host, "group"
  FROM devices_device
 WHERE project = :project AND id = ANY (:devices::text[])

-- name: count
SELECT count(*) FROM devices_device WHERE account = :account

-- name: export
SELECT jsonb_build_object(
           'id', id, 'project', project, 'label', label, 'group', "group", 'tags', tags,
           'addresses', addresses, 'agent', agent,
           'system', system, 'status', status, 'registered_at', registered_at,
           'last_seen_at', last_seen_at, 'app_state', app_state, 'app_revision', app_revision,
           'app_programs', app_programs, 'app_reported_at', app_reported_at) AS record
  FROM devices_device
 WHERE account = :account
 ORDER BY number
 OFFSET :offset LIMIT :limit

-- name: delete_account
DELETE FROM devices_device WHERE account = :account

-- name: add_groups
INSERT INTO devices_group (account, project, name)
SELECT :account, :project, name FROM unnest(:names::text[]) AS name ORDER BY name
ON CONFLICT (project, name) DO NOTHING

-- name: hold_groups
-- One that is there is locked until the transaction ends: nobody deletes it meanwhile.
INSERT INTO devices_group AS g (account, project, name)
SELECT :account, :project, name FROM unnest(:names::text[]) AS name ORDER BY name
ON CONFLICT (project, name) DO UPDATE SET version = g.version

-- name: list_groups
SELECT g.name, g.number, g.description, g.version, g.created_at, count(d.id) AS devices,
       count(d.id) FILTER (WHERE d.session <> '') AS online
  FROM devices_group AS g
  LEFT JOIN devices_device AS d
    ON d.project = g.project AND d.account = g.account AND d."group" = g.name
 WHERE g.account = :account AND g.project = :project AND g.number > :after
   AND (:name::text = '' OR g.name = :name)
 GROUP BY g.name, g.number, g.description, g.version, g.created_at
 ORDER BY g.number
 LIMIT :limit

-- name: lock_group
SELECT version
  FROM devices_group
 WHERE account = :account AND project = :project AND name = :name
   FOR UPDATE

-- name: change_group
UPDATE devices_group
   SET description = :description, version = version + 1
 WHERE account = :account AND project = :project AND name = :name

-- name: is_in_use
SELECT EXISTS (
    SELECT FROM devices_device WHERE account = :account AND project = :project AND "group" = :name)

-- name: delete_group
DELETE FROM devices_group WHERE account = :account AND project = :project AND name = :name

-- name: delete_groups
DELETE FROM devices_group WHERE account = :account AND project = :project

-- name: count_groups
SELECT count(*) FROM devices_group WHERE account = :account

-- name: export_groups
SELECT jsonb_build_object(
           'project', project, 'name', name, 'description', description,
           'created_at', created_at) AS record
  FROM devices_group
 WHERE account = :account
 ORDER BY number
 OFFSET :offset LIMIT :limit

-- name: delete_account_groups
DELETE FROM devices_group WHERE account = :account
