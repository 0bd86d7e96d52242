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
-- One that a person made lives only as long as that person is a member, and is not being deleted;
-- none does in an account that is.
SELECT t.id, t.account, t.scopes, coalesce(t."user", '') AS "user",
       coalesce(m.role, 'owner') AS role,
       coalesce(t.last_used_at < now() - interval '1 minute', true) AS stale,
       a.require_second_factor AND t."user" IS NOT NULL
       AND NOT EXISTS (SELECT FROM accounts_totp AS f
                        WHERE f."user" = t."user" AND f.confirmed_at IS NOT NULL)
       AND NOT EXISTS (SELECT FROM accounts_passkey AS k WHERE k."user" = t."user")
       AS needs_factor,
       coalesce((SELECT jsonb_object_agg(n.project, n.role)
                   FROM accounts_narrowed AS n
                  WHERE n.account = t.account AND n."user" = t."user"), '{}') AS narrowed
  FROM accounts_api_token AS t
  JOIN accounts_account AS a ON a.id = t.account
  LEFT JOIN accounts_member AS m ON m.account = t.account AND m."user" = t."user"
  LEFT JOIN accounts_user AS u ON u.id = t."user"
 WHERE t.digest = :digest
   AND t.revoked_at IS NULL
   AND (t.expires_at IS NULL OR t.expires_at > now())
   AND (t."user" IS NULL OR m.role IS NOT NULL AND u.suspended_at IS NULL)
   AND NOT EXISTS (SELECT FROM accounts_deletion AS d WHERE d.account = t.account)
   AND NOT EXISTS (SELECT FROM accounts_departure AS l WHERE l."user" = t."user")

-- name: see_token
-- Not at each use: once a minute is enough to tell a token that is used from one that is not.
UPDATE accounts_api_token
   SET last_used_at = now()
 WHERE id = :token AND coalesce(last_used_at < now() - interval '1 minute', true)
