-- What has expired. Links go before people: one that has expired keeps nobody.

-- name: links
DELETE FROM accounts_link WHERE expires_at <= now()

-- name: unverified
-- Whoever never verified an address, and has no link left that could.
DELETE FROM accounts_user AS u
 WHERE u.verified_at IS NULL
   AND u.created_at < now() - interval '7 days'
   AND NOT EXISTS (SELECT FROM accounts_link AS l WHERE l."user" = u.id)
   AND NOT EXISTS (SELECT FROM accounts_member AS m WHERE m."user" = u.id)

-- name: sessions
DELETE FROM accounts_session
 WHERE created_at <= now() - make_interval(secs => :lifetime)
    OR seen_at <= now() - make_interval(secs => :idle)

-- name: tokens
DELETE FROM accounts_api_token WHERE revoked_at < now() - interval '30 days'

-- name: attempts
DELETE FROM accounts_attempt WHERE until <= now() AND changed_at < now() - interval '1 day'

-- name: tallies
DELETE FROM accounts_tally WHERE ends_at <= now()

-- name: challenges
DELETE FROM accounts_challenge WHERE expires_at <= now()
-- name: invitations
-- A month after they have expired, nobody sends them again.
DELETE FROM accounts_invitation WHERE expires_at < now() - interval '30 days'

-- name: transfers
DELETE FROM accounts_transfer WHERE expires_at <= now()

-- name: exports
DELETE FROM accounts_export WHERE expires_at <= now()
