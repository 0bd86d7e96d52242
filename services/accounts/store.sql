-- name: first_account
SELECT account AS id FROM accounts_first

-- name: add_account
INSERT INTO accounts_account (id, name) VALUES (:id, :name)

-- name: claim_first
INSERT INTO accounts_first (account) VALUES (:account) ON CONFLICT DO NOTHING

-- name: add_token
INSERT INTO accounts_api_token (id, account, name, prefix, digest)
VALUES (:id, :account, :name, :prefix, :digest)

-- name: live_token
SELECT id, account, scopes
  FROM accounts_api_token
 WHERE digest = :digest
   AND revoked_at IS NULL
   AND (expires_at IS NULL OR expires_at > now())
