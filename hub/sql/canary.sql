-- One row for each hub, written by its readiness check: a ready hub can write to the database.

-- name: touch
INSERT INTO canary (hub) VALUES (:hub)
ON CONFLICT (hub) DO UPDATE SET at = now();
