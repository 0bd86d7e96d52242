-- name: delete_marks
DELETE FROM relay_marks WHERE project = :project

-- name: delete_counts
DELETE FROM relay_counts WHERE project = :project

-- name: delete_cursors
DELETE FROM relay_cursors WHERE integration = ANY (:integrations::text[])

-- name: delete_replayed
DELETE FROM relay_replayed WHERE integration = ANY (:integrations::text[])
