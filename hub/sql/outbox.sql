-- name: add_many
INSERT INTO outbox (event_id, key, subject, headers, payload)
SELECT event_id, key, :subject, headers, payload
  FROM unnest(:event_ids::uuid[], :keys::text[], :headers::jsonb[], :payloads::bytea[])
       WITH ORDINALITY AS event (event_id, key, headers, payload, number)
 ORDER BY number

-- name: pending
-- By presence, not by a cursor: a transaction may commit after one that took a higher id.
SELECT id, event_id, key, subject, headers, payload
FROM outbox
WHERE key <> ALL(:blocked::text[])
ORDER BY id
LIMIT 500

-- name: delete
DELETE FROM outbox WHERE id = ANY(:ids::bigint[])

-- name: first_time
INSERT INTO inbox (consumer, event_id)
VALUES (:consumer, :event_id)
ON CONFLICT DO NOTHING  -- naming the columns would take the right to read them

-- name: all_first_time
INSERT INTO inbox (consumer, event_id)
SELECT :consumer, event_id FROM unnest(:event_ids::uuid[]) AS event (event_id)
ON CONFLICT DO NOTHING

-- name: sweep_inbox
DELETE FROM inbox WHERE handled_at < now() - interval '30 days'

-- name: backlog
SELECT count(*) AS pending,
       coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS oldest
FROM outbox
