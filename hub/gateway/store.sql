-- name: claim_idempotency
-- Takes a key that is new, too old to count, or whose hub died at work on this same request.
INSERT INTO gateway_idempotency AS known
    (account, route, key, actor, fingerprint, claim, leased_until, expires_at)
VALUES (
    :account, :route, :key, :actor, :fingerprint, CAST(:claim AS uuid),
    now() + make_interval(secs => :lease), now() + make_interval(secs => :kept)
)
ON CONFLICT (account, route, key) DO UPDATE
SET actor = excluded.actor,
    fingerprint = excluded.fingerprint,
    claim = excluded.claim,
    leased_until = excluded.leased_until,
    expires_at = excluded.expires_at,
    answer = NULL
WHERE known.expires_at <= now()
   OR (
        known.answer IS NULL
        AND known.leased_until <= now()
        AND known.actor = excluded.actor
        AND known.fingerprint = excluded.fingerprint
   )

-- name: get_idempotency
SELECT actor, fingerprint, answer
FROM gateway_idempotency
WHERE account = :account AND route = :route AND key = :key

-- name: keep_idempotency
-- The claim is a fence: a hub that was taken for dead does not write over its successor.
UPDATE gateway_idempotency
SET answer = :answer
WHERE claim = CAST(:claim AS uuid) AND answer IS NULL

-- name: release_idempotency
DELETE FROM gateway_idempotency
WHERE claim = CAST(:claim AS uuid) AND answer IS NULL

-- name: clear_idempotency
-- In batches, so that no clearing holds many locks for long.
DELETE FROM gateway_idempotency
WHERE ctid IN (SELECT ctid FROM gateway_idempotency WHERE expires_at <= now() LIMIT 10000)
