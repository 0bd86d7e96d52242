-- name: add
INSERT INTO messages_integration (id, account, project, type, name, enabled, shown, sealed, shape)
VALUES (:id, :account, :project, :type, :name, :enabled, :shown, :sealed, :shape)
RETURNING id, number, account, project, type, name, enabled, shown, sealed, shape, revision,
          created_at, updated_at, coalesce(start_at, created_at) AS start_at

-- name: get
SELECT id, number, account, project, type, name, enabled, shown, sealed, shape, revision,
       created_at, updated_at, coalesce(start_at, created_at) AS start_at
  FROM messages_integration
 WHERE id = :integration AND account = :account

-- name: lock
SELECT id, number, account, project, type, name, enabled, shown, sealed, shape, revision,
       created_at, updated_at, coalesce(start_at, created_at) AS start_at
  FROM messages_integration
 WHERE id = :integration AND account = :account
   FOR UPDATE

-- name: list
SELECT id, number, account, project, type, name, enabled, shown, sealed, shape, revision,
       created_at, updated_at, coalesce(start_at, created_at) AS start_at
  FROM messages_integration
 WHERE account = :account AND project = :project AND number > :after
 ORDER BY number
 LIMIT :limit

-- name: change
UPDATE messages_integration
   SET name = :name, enabled = :enabled, shown = :shown, sealed = :sealed, shape = :shape,
       revision = revision + 1, updated_at = now()
 WHERE id = :integration AND account = :account
RETURNING id, number, account, project, type, name, enabled, shown, sealed, shape, revision,
          created_at, updated_at, coalesce(start_at, created_at) AS start_at

-- name: switch
UPDATE messages_integration
   SET enabled = :enabled, revision = revision + 1, updated_at = now()
 WHERE id = :integration AND account = :account
RETURNING id, number, account, project, type, name, enabled, shown, sealed, shape, revision,
          created_at, updated_at, coalesce(start_at, created_at) AS start_at

-- name: rewind
UPDATE messages_integration
   SET start_at = :start_at, revision = revision + 1, updated_at = now()
 WHERE id = :integration AND account = :account
RETURNING id, number, account, project, type, name, enabled, shown, sealed, shape, revision,
          created_at, updated_at, coalesce(start_at, created_at) AS start_at

-- name: delete
DELETE FROM messages_integration WHERE id = :integration AND account = :account

-- name: delete_project
DELETE FROM messages_integration
 WHERE project = :project AND account = :account
RETURNING id, number, account, project, type, name, enabled, shown, sealed, shape, revision,
          created_at, updated_at, coalesce(start_at, created_at) AS start_at

-- name: list_specs
SELECT id, account, project, type, sealed, enabled, coalesce(start_at, created_at) AS start_at,
       revision, shape
  FROM messages_integration
 WHERE id > :after
 ORDER BY id
 LIMIT :limit

-- name: list_ids
SELECT id FROM messages_integration WHERE account = :account ORDER BY number
-- name: delete_account
DELETE FROM messages_integration
 WHERE account = :account
RETURNING id, number, account, project, type, name, enabled, shown, sealed, shape, revision,
          created_at, updated_at, coalesce(start_at, created_at) AS start_at

-- name: count
SELECT count(*) FROM messages_integration WHERE account = :account

-- name: export
SELECT jsonb_build_object(
           'id', id, 'project', project, 'type', type, 'name', name, 'enabled', enabled,
           'config', shown, 'shape', shape, 'created_at', created_at,
           'updated_at', updated_at) AS record
  FROM messages_integration
 WHERE account = :account
 ORDER BY number
 OFFSET :offset LIMIT :limit
