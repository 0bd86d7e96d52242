-- name: get
SELECT pg_try_advisory_lock(CAST(:kind AS int), CAST(:part AS int))

-- name: release
SELECT pg_advisory_unlock(CAST(:kind AS int), CAST(:part AS int))

-- name: beat
SELECT 1
