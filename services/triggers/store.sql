-- name: lock_project
-- Two events of one project are taken one after the other, whoever reads them.
SELECT pg_advisory_xact_lock(hashtextextended('triggers/' || :project::text, 0)) IS NULL
