-- name: count_answers
SELECT count(*) FROM gateway_idempotency WHERE account = :account

-- name: delete_answers
DELETE FROM gateway_idempotency WHERE account = :account

-- name: delete_answers_to
DELETE FROM gateway_idempotency WHERE actor = ANY(CAST(:actors AS text[]))

-- name: count_keys
SELECT count(*) FROM vault_data_keys WHERE account = :account

-- name: delete_keys
DELETE FROM vault_data_keys WHERE account = :account

-- name: waiting_events
-- Those that name one of these and are yet to be published.
SELECT count(*)
  FROM outbox AS o
 WHERE EXISTS (
       SELECT FROM unnest(CAST(:names AS text[])) AS name
        WHERE o.key = name OR position(convert_to(name, 'UTF8') IN o.payload) > 0)
