-- name: get
SELECT pg_try_advisory_lock(CAST(:kind AS int), CAST(:number AS int))

-- name: release
SELECT pg_advisory_unlock(CAST(:kind AS int), CAST(:number AS int))

-- name: beat
SELECT 1
