-- name: tell
-- In whoever's transaction: a tenant may add to its own account's, and read nothing.
INSERT INTO audit_pending (entry, account, "user", deed, origin, content, ended_at)
VALUES (:entry, :account, :user, :deed, :origin, :content, clock_timestamp())

-- name: note
-- All that is noted at once, in one statement: beginnings; ends of earlier ones, which it counts;
-- beginnings that came to nothing; and what is whole already, of which a second attempt after a lost
-- commit adds nothing.
WITH begun AS (
    INSERT INTO audit_pending (entry, account, "user", deed, origin, content)
    SELECT * FROM unnest(CAST(:begun_entries AS text[]), CAST(:begun_accounts AS text[]),
                         CAST(:begun_users AS text[]), CAST(:begun_deeds AS text[]),
                         CAST(:begun_origins AS text[]), CAST(:begun_contents AS text[]))
), dropped AS (
    DELETE FROM audit_pending
     WHERE entry = ANY(CAST(:dropped_entries AS text[])) AND ended_at IS NULL
), added AS (
    INSERT INTO audit_pending (entry, account, "user", deed, origin, content, ended_at)
    SELECT t.*, clock_timestamp()
      FROM unnest(CAST(:whole_entries AS text[]), CAST(:whole_accounts AS text[]),
                  CAST(:whole_users AS text[]), CAST(:whole_deeds AS text[]),
                  CAST(:whole_origins AS text[]), CAST(:whole_contents AS text[]))
           AS t (entry, account, "user", deed, origin, content)
     WHERE NOT EXISTS (SELECT FROM audit_entry AS e WHERE e.id = t.entry)
    ON CONFLICT (entry) DO NOTHING
)
UPDATE audit_pending AS p
   SET account = e.account, deed = e.deed, content = e.content, ended_at = clock_timestamp()
  FROM unnest(CAST(:ended_entries AS text[]), CAST(:ended_accounts AS text[]),
              CAST(:ended_deeds AS text[]), CAST(:ended_contents AS text[]))
       AS e (entry, account, deed, content)
 WHERE p.entry = e.entry AND p.ended_at IS NULL

-- name: sealed_unknown
-- Those whose end came too late: they were sealed as not known.
SELECT id FROM audit_entry WHERE id = ANY(CAST(:entries AS text[])) AND outcome = 'unknown'

-- name: ready
-- In the order of their beginning; what has no end after so long will never have one.
SELECT id, entry, account, deed, origin, content, begun_at AS at, clock_timestamp() AS sealed_at
  FROM audit_pending
 WHERE (ended_at IS NOT NULL
        OR begun_at < clock_timestamp() - make_interval(secs => :lease))
   AND account <> ALL(CAST(:blocked AS text[]))
   AND (CAST(:only AS text) = '' OR account = :only)
 ORDER BY id
 LIMIT :limit
   FOR UPDATE SKIP LOCKED

-- name: waiting
SELECT DISTINCT account FROM audit_pending
 WHERE ended_at IS NOT NULL AND account <> ALL(CAST(:blocked AS text[]))

-- name: heads
SELECT account, seq, hash, erased FROM audit_chain
 WHERE account = ANY(CAST(:accounts AS text[]))
   FOR UPDATE

-- name: seal
-- All of a group in one statement: its entries, their values, how far the chains go now, and what
-- waits no more.
WITH appended AS (
    INSERT INTO audit_entry (entry, previous, hash)
    SELECT * FROM unnest(CAST(:entries AS text[]), CAST(:previous AS bytea[]),
                         CAST(:hashes AS bytea[]))
), kept AS (
    INSERT INTO audit_value (account, seq, part, project, salt, value)
    SELECT * FROM unnest(CAST(:value_accounts AS text[]), CAST(:value_seqs AS bigint[]),
                         CAST(:parts AS text[]), CAST(:projects AS text[]),
                         CAST(:salts AS bytea[]), CAST(:values AS text[]))
), advanced AS (
    INSERT INTO audit_chain (account, seq, hash)
    SELECT * FROM unnest(CAST(:accounts AS text[]), CAST(:seqs AS bigint[]),
                         CAST(:heads AS bytea[]))
    ON CONFLICT (account) DO UPDATE SET seq = excluded.seq, hash = excluded.hash
)
DELETE FROM audit_pending WHERE id = ANY(CAST(:pending AS bigint[]))

-- name: backlog
SELECT count(*) AS pending,
       coalesce(extract(epoch FROM clock_timestamp() - min(begun_at)), 0)::float8 AS oldest
  FROM audit_pending

-- name: all_heads
SELECT account, seq, hash FROM audit_chain ORDER BY account

-- name: head
SELECT account, seq, hash FROM audit_chain WHERE account = :account

-- name: accounts
-- Of every entry and head: one without the other is a fault.
SELECT account FROM audit_chain UNION SELECT account FROM audit_entry ORDER BY account

-- name: walk
SELECT e.seq, e.entry AS text, e.previous, e.hash,
       o.salt AS origin_salt, o.value AS origin, c.salt AS content_salt, c.value AS content,
       (e.account, e.id, e.at, e.project, e.action, e.outcome, e.actor, e."user", e.objects) =
       (e.entry::jsonb ->> 'account', e.entry::jsonb ->> 'id', (e.entry::jsonb ->> 'at')::bigint,
        e.entry::jsonb ->> 'project', e.entry::jsonb ->> 'action', e.entry::jsonb ->> 'outcome',
        e.entry::jsonb #>> '{actor,id}', e.entry::jsonb #>> '{actor,user}',
        jsonb_path_query_array(e.entry::jsonb, '$.object.*')) AS faithful
  FROM audit_entry AS e
  LEFT JOIN audit_value AS o ON o.account = e.account AND o.seq = e.seq AND o.part = 'origin'
  LEFT JOIN audit_value AS c ON c.account = e.account AND c.seq = e.seq AND c.part = 'content'
 WHERE e.account = :account AND e.seq > :after
 ORDER BY e.seq
 LIMIT :limit

-- name: with_hash
SELECT seq FROM audit_entry WHERE account = :account AND hash = :hash

-- name: page
-- Newest first.
SELECT e.seq, e.entry AS text, e.previous, e.hash,
       o.salt AS origin_salt, o.value AS origin, c.salt AS content_salt, c.value AS content
  FROM audit_entry AS e
  LEFT JOIN audit_value AS o ON o.account = e.account AND o.seq = e.seq AND o.part = 'origin'
  LEFT JOIN audit_value AS c ON c.account = e.account AND c.seq = e.seq AND c.part = 'content'
 WHERE e.account = :account
   AND (CAST(:before AS bigint) = 0 OR e.seq < :before)
   AND (CAST(:project AS text) = '' OR e.project = :project)
   AND (CAST(:actor AS text) = '' OR e.actor = :actor OR e."user" = :actor)
   AND (CAST(:action AS text) = '' OR e.action = :action)
   AND (CAST(:object AS text) = '' OR e.objects ? :object)
   AND (CAST(:outcome AS text) = '' OR e.outcome = :outcome)
   AND (CAST(:since AS bigint) = 0 OR e.at >= :since)
   AND (CAST(:until AS bigint) = 0 OR e.at < :until)
 ORDER BY e.seq DESC
 LIMIT :limit

-- name: allow_erasing
SELECT set_config('isaax.erasing', :allowed, true)

-- name: end_keeping
INSERT INTO audit_chain (account, seq, hash, erased) VALUES (:account, 0, :hash, true)
ON CONFLICT (account) DO UPDATE SET erased = true WHERE NOT audit_chain.erased

-- name: erase_account
DELETE FROM audit_value WHERE account = :account

-- name: drop_export
DELETE FROM audit_export WHERE account = :account

-- name: erase_pending_account
UPDATE audit_pending SET origin = NULL, content = NULL WHERE account = :account

-- name: erase_origins
DELETE FROM audit_value AS v USING audit_entry AS e
 WHERE e."user" = :user AND v.account = e.account AND v.seq = e.seq AND v.part = 'origin'
RETURNING v.account, v.seq

-- name: erase_contents
-- Of entries about the person, and of those that name the person in what they show.
DELETE FROM audit_value AS v USING audit_entry AS e
 WHERE v.account = e.account AND v.seq = e.seq AND v.part = 'content'
   AND (e.objects ? :user
        OR EXISTS (SELECT FROM unnest(CAST(:mentions AS text[])) AS m (word)
                    WHERE strpos(lower(v.value), lower(m.word)) > 0))
RETURNING v.account, v.seq

-- name: erase_pending_person
UPDATE audit_pending
   SET origin = CASE WHEN "user" = :user THEN NULL ELSE origin END,
       content = CASE WHEN EXISTS (SELECT FROM unnest(CAST(:mentions AS text[])) AS m (word)
                                    WHERE strpos(lower(content), lower(m.word)) > 0)
                      THEN NULL ELSE content END

-- name: get_export
SELECT x.account, x.project, x.boot, x.after, x.sent, coalesce(c.seq, 0) AS head
  FROM audit_export AS x
  LEFT JOIN audit_chain AS c ON c.account = x.account
 WHERE x.account = :account

-- name: put_export
-- To another place it goes on behind what has arrived at the last one; where it was off, from now.
INSERT INTO audit_export AS x (account, project, boot, after, sent)
SELECT :account, :project, CAST(:boot AS bigint), coalesce(max(seq), 0), coalesce(max(seq), 0)
  FROM audit_chain WHERE account = :account
ON CONFLICT (account) DO UPDATE
   SET project = excluded.project,
       boot = greatest(x.boot + 1, excluded.boot),
       after = CASE WHEN x.project = '' THEN excluded.after ELSE x.sent END,
       sent = CASE WHEN x.project = '' THEN excluded.sent ELSE x.sent END
 WHERE x.project <> excluded.project

-- name: end_export
UPDATE audit_export SET project = '' WHERE account = :account AND project <> ''

-- name: end_export_into
UPDATE audit_export SET project = '' WHERE account = :account AND project = :project

-- name: exports_behind
SELECT x.account, x.project, x.boot, x.after, x.sent, c.seq AS head
  FROM audit_export AS x
  JOIN audit_chain AS c ON c.account = x.account
 WHERE x.project <> '' AND c.seq > x.sent

-- name: note_sent
-- The boot is a fence: what arrived at an earlier place says nothing of this one.
UPDATE audit_export SET sent = greatest(sent, CAST(:sent AS bigint))
 WHERE account = :account AND boot = :boot

-- name: lead
-- That we still lead.
SELECT 1
