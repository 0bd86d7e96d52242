-- name: add_device
INSERT INTO devices_device (id, account, project, label, agent, system)
VALUES (:device, :account, :project, :label, :agent, :system)
ON CONFLICT (id) DO NOTHING

-- name: open_session
UPDATE devices_device
   SET session = :session, status = 'active', last_seen_at = now(), version = version + 1,
       agent = :agent, system = :system
 WHERE id = :device AND account = :account

-- name: close_session
UPDATE devices_device
   SET session = '', last_seen_at = now(), version = version + 1
 WHERE id = :device AND account = :account AND session = :session

-- name: set_status
UPDATE devices_device
   SET status = :status, session = '', version = version + 1
 WHERE id = :device AND account = :account

-- name: get_device
SELECT id, number, account, project, label, "group", agent, system, status, session <> '' AS online,
       version, registered_at, last_seen_at
  FROM devices_device
 WHERE id = :device AND account = :account

-- name: lock_device
SELECT id, number, account, project, label, "group", agent, system, status, session <> '' AS online,
       version, registered_at, last_seen_at
  FROM devices_device
 WHERE id = :device AND account = :account
   FOR UPDATE

-- name: list_devices
SELECT id, number, account, project, label, "group", agent, system, status, session <> '' AS online,
       version, registered_at, last_seen_at
  FROM devices_device
 WHERE account = :account AND project = :project AND number > :after
   AND (:online::boolean IS NULL OR (session <> '') = :online)
   AND (:label::text = '' OR label = :label)
   AND (:group::text = '' OR "group" = :group)
 ORDER BY number
 LIMIT :limit

-- name: change_device
UPDATE devices_device
   SET label = :label, "group" = :group, version = version + 1
 WHERE id = :device AND account = :account
RETURNING id, number, account, project, label, "group", agent, system, status, session <> '' AS online,
          version, registered_at, last_seen_at

-- name: lock_devices
-- In one order for everybody: two requests for the same devices wait for each other, and never both.
SELECT id, version
  FROM devices_device
 WHERE account = :account AND project = :project AND id = ANY (:devices::text[])
 ORDER BY id
   FOR UPDATE

-- name: change_devices
UPDATE devices_device AS device
   SET label = coalesce(change.label, device.label),
       "group" = coalesce(change."group", device."group"),
       version = version + 1
  FROM unnest(:devices::text[], :labels::text[], :groups::text[]) AS change (id, label, "group")
 WHERE device.id = change.id AND device.account = :account
RETURNING device.id, device.version

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
           'id', id, 'project', project, 'label', label, 'group', "group", 'agent', agent,
           'system', system, 'status', status, 'registered_at', registered_at,
           'last_seen_at', last_seen_at) AS record
  FROM devices_device
 WHERE account = :account
 ORDER BY number
 OFFSET :offset LIMIT :limit

-- name: delete_account
DELETE FROM devices_device WHERE account = :account
