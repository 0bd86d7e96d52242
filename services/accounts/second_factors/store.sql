-- ── authenticator apps ──

-- name: start_totp
-- One that was never confirmed is replaced; one that was stays.
INSERT INTO accounts_totp AS t ("user", sealed) VALUES (:user, :sealed)
    ON CONFLICT ("user") DO UPDATE
   SET sealed = excluded.sealed, created_at = now(), last_step = 0
 WHERE t.confirmed_at IS NULL

-- name: get_totp
SELECT sealed, confirmed_at FROM accounts_totp WHERE "user" = :user

-- name: take_step
-- The row is held until the transaction ends: of many that show one code at once, one is right.
UPDATE accounts_totp
   SET last_step = :step, confirmed_at = coalesce(confirmed_at, now())
 WHERE "user" = :user AND last_step < :step

-- name: remove_totp
DELETE FROM accounts_totp WHERE "user" = :user

-- ── recovery codes ──

-- name: add_codes
INSERT INTO accounts_recovery_code ("user", digest)
SELECT :user::text, d FROM unnest(:digests::bytea[]) AS d

-- name: drop_codes
DELETE FROM accounts_recovery_code WHERE "user" = :user

-- name: use_code
DELETE FROM accounts_recovery_code WHERE "user" = :user AND digest = :digest

-- name: count_codes
SELECT count(*) FROM accounts_recovery_code WHERE "user" = :user

-- ── passkeys ──

-- name: add_passkey
INSERT INTO accounts_passkey (id, "user", name, credential, public_key, sign_count, transports)
VALUES (:id, :user, :name, :credential, :public_key, :sign_count, :transports)
    ON CONFLICT (credential) DO NOTHING
RETURNING id, number, name, transports, created_at, last_used_at

-- name: list_passkeys
SELECT id, number, name, transports, created_at, last_used_at
  FROM accounts_passkey
 WHERE "user" = :user AND number > :after
 ORDER BY number
 LIMIT :limit

-- name: get_passkey
SELECT id, number, name, transports, created_at, last_used_at
  FROM accounts_passkey
 WHERE "user" = :user AND id = :passkey

-- name: rename_passkey
UPDATE accounts_passkey SET name = :name
 WHERE "user" = :user AND id = :passkey
RETURNING id, number, name, transports, created_at, last_used_at

-- name: remove_passkey
DELETE FROM accounts_passkey WHERE "user" = :user AND id = :passkey RETURNING name

-- name: credentials_of
SELECT credential, transports FROM accounts_passkey WHERE "user" = :user ORDER BY number

-- name: owner_of_credential
SELECT "user" FROM accounts_passkey WHERE credential = :credential

-- name: lock_passkey
SELECT id, public_key, sign_count
  FROM accounts_passkey
 WHERE "user" = :user AND credential = :credential
   FOR UPDATE

-- name: see_passkey
UPDATE accounts_passkey SET sign_count = :sign_count, last_used_at = now() WHERE id = :passkey

-- ── all of somebody's ──

-- name: factors_of
SELECT (SELECT confirmed_at FROM accounts_totp WHERE "user" = :user) AS totp_since,
       (SELECT count(*) FROM accounts_recovery_code WHERE "user" = :user) AS recovery_codes,
       (SELECT count(*) FROM accounts_passkey WHERE "user" = :user) AS passkeys

-- name: drop_factors
-- Of somebody who has lost them all.
WITH apps AS (DELETE FROM accounts_totp WHERE "user" = :user),
     codes AS (DELETE FROM accounts_recovery_code WHERE "user" = :user)
DELETE FROM accounts_passkey WHERE "user" = :user

-- ── challenges ──

-- name: add_login_challenge
-- Only while the password is still the one that was shown; see `begin_session`. One at a time, as
-- `bound_challenges` deletes those of others.
INSERT INTO accounts_challenge (digest, kind, "user", bound, attempts_key, expires_at)
SELECT :digest::bytea, :kind::text, u.id, :bound::bytea, :attempts_key::bytea,
       now() + make_interval(secs => :seconds::float8)
  FROM accounts_user AS u
 WHERE u.id = :user AND u.password = :password AND u.suspended_at IS NULL
   FOR NO KEY UPDATE
RETURNING expires_at

-- name: add_challenge
INSERT INTO accounts_challenge (digest, kind, "user", session, bound, expires_at)
VALUES (:digest, :kind, :user, :session, :bound, now() + make_interval(secs => :seconds))
RETURNING expires_at

-- name: bound_challenges
DELETE FROM accounts_challenge
 WHERE "user" = :user
   AND digest NOT IN (
       SELECT digest FROM accounts_challenge
        WHERE "user" = :user
        ORDER BY created_at DESC
        LIMIT :most)

-- name: try_challenge
UPDATE accounts_challenge
   SET tries = tries + 1
 WHERE digest = :digest AND kind = :kind AND (bound = '' OR bound = :bound)
   AND expires_at > now() AND tries < :most
RETURNING "user", attempts_key

-- name: use_challenge
DELETE FROM accounts_challenge
 WHERE digest = :digest AND kind = :kind AND (bound = '' OR bound = :bound)
   AND session IS NOT DISTINCT FROM :session
   AND expires_at > now()

-- name: void_challenges
DELETE FROM accounts_challenge WHERE "user" = :user

-- ── how long ago somebody showed that it is them ──

-- name: is_recent
SELECT EXISTS (
    SELECT FROM accounts_session
     WHERE id = :session AND proven_at > now() - make_interval(secs => :seconds::float8))

-- name: prove_anew
UPDATE accounts_session SET proven_at = now() WHERE id = :session AND "user" = :user
