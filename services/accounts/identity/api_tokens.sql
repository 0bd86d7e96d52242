-- name: add_token
INSERT INTO accounts_api_token (id, account, name, prefix, digest, scopes, "user", expires_at)
VALUES (:id, :account, :name, :prefix, :digest, :scopes, nullif(:user::text, ''), :expires_at)
RETURNING id, number, coalesce("user", '') AS "user", name, prefix, scopes, created_at, expires_at,
          last_used_at

-- name: count_tokens
SELECT count(*)
  FROM accounts_api_token
 WHERE account = :account AND "user" IS NOT DISTINCT FROM nullif(:user::text, '')
   AND revoked_at IS NULL

-- name: list_tokens
SELECT id, number, coalesce("user", '') AS "user", name, prefix, scopes, created_at, expires_at,
       last_used_at
  FROM accounts_api_token
 WHERE account = :account AND number > :after AND revoked_at IS NULL
   AND (:all OR "user" IS NOT DISTINCT FROM nullif(:user::text, ''))
 ORDER BY number
 LIMIT :limit

-- name: get_token
SELECT id, number, coalesce("user", '') AS "user", name, prefix, scopes, created_at, expires_at,
       last_used_at
  FROM accounts_api_token
 WHERE account = :account AND id = :token AND revoked_at IS NULL
   AND (:all OR "user" IS NOT DISTINCT FROM nullif(:user::text, ''))

-- name: revoke_token
UPDATE accounts_api_token
   SET revoked_at = now()
 WHERE account = :account AND id = :token AND revoked_at IS NULL
   AND (:all OR "user" IS NOT DISTINCT FROM nullif(:user::text, ''))

-- name: expiry_of_token
SELECT expires_at FROM accounts_api_token WHERE account = :account AND id = :token
