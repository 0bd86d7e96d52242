-- name: add_run
INSERT INTO scripts_run (id, account, project, body, timeout, device, "group", deadline)
VALUES (:id, :account, :project, :body, :timeout, :device, :group,
        now() + make_interval(secs => :wait::float8))

-- name: add_results
INSERT INTO scripts_result (run, device, account, project)
SELECT :run, device, :account, :project FROM unnest(:devices::text[]) AS device

-- name: get_run
SELECT r.id, r.number, r.project, r.body, r.timeout, r.device, r."group", r.created_at, r.deadline,
       coalesce((SELECT jsonb_object_agg(s.status, s.count)
                   FROM (SELECT status, count(*) AS count FROM scripts_result
                          WHERE run = r.id AND account = r.account GROUP BY status) AS s), '{}')
           AS counts
  FROM scripts_run AS r
 WHERE r.id = :run AND r.project = :project AND r.account = :account

-- name: list_runs
SELECT r.id, r.number, r.project, r.body, r.timeout, r.device, r."group", r.created_at, r.deadline,
       coalesce((SELECT jsonb_object_agg(s.status, s.count)
                   FROM (SELECT status, count(*) AS count FROM scripts_result
                          WHERE run = r.id AND account = r.account GROUP BY status) AS s), '{}')
           AS counts
  FROM scripts_run AS r
 WHERE r.account = :account AND r.project = :project AND (:before::bigint = 0 OR r.number < :before)
 ORDER BY r.number DESC
 LIMIT :limit

-- name: list_results
SELECT number, device, status, code, output, error, seconds, started_at, ended_at
  FROM scripts_result
 WHERE run = :run AND project = :project AND account = :account AND number > :after
   AND (:status::text = '' OR status = :status)
 ORDER BY number
 LIMIT :limit

-- name: drop_project
DELETE FROM scripts_run WHERE account = :account AND project = :project

-- name: waiting_for
-- What is to be sent to these devices now; sent again a while later, should nothing be heard.
UPDATE scripts_result AS w
   SET sent_at = now()
  FROM scripts_run AS r
 WHERE r.id = w.run AND w.status = 'waiting' AND r.deadline > now()
   AND w.device = ANY (:devices::text[])
RETURNING w.run, w.device, w.account, w.project, r.body, r.timeout,
          extract(epoch FROM r.deadline - now())::float8 AS within

-- name: unheard
SELECT DISTINCT device, account
  FROM (SELECT device, account
          FROM scripts_result
         WHERE status = 'waiting'
           AND (sent_at IS NULL OR sent_at < now() - make_interval(secs => :seconds::float8))
         ORDER BY sent_at NULLS FIRST
         LIMIT :limit) AS oldest

-- name: started
UPDATE scripts_result
   SET status = 'running', started_at = now()
 WHERE run = :run AND device = :device AND project = :project
   AND status IN ('waiting', 'expired')

-- name: ended
-- The device's last word counts, also after the hub had given it up.
UPDATE scripts_result
   SET status = :status, code = :code, output = :output, error = :error, seconds = :seconds,
       started_at = coalesce(started_at, now()), ended_at = now()
 WHERE run = :run AND device = :device AND project = :project
   AND status IN ('waiting', 'running', 'expired', 'lost')

-- name: expire
UPDATE scripts_result AS w
   SET status = CASE WHEN w.status = 'waiting' THEN 'expired' ELSE 'lost' END, ended_at = now()
  FROM scripts_run AS r
 WHERE r.id = w.run
   AND ((w.status = 'waiting' AND r.deadline < now())
        OR (w.status = 'running'
            AND w.started_at < now() - make_interval(secs => r.timeout + :grace::float8)))

-- name: forget_old
DELETE FROM scripts_run WHERE created_at < now() - make_interval(days => :days::int)

-- name: count
SELECT (SELECT count(*) FROM scripts_run WHERE account = :account) AS script_runs,
       (SELECT count(*) FROM scripts_result WHERE account = :account) AS script_results

-- name: export
SELECT jsonb_build_object(
           'id', r.id, 'project', r.project, 'body', r.body, 'created_at', r.created_at,
           'results', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                           'device', w.device, 'status', w.status, 'code', w.code,
                           'ended_at', w.ended_at) ORDER BY w.number), '[]')
                         FROM scripts_result AS w WHERE w.run = r.id)) AS record
  FROM scripts_run AS r
 WHERE r.account = :account
 ORDER BY r.number
 OFFSET :offset LIMIT :limit

-- name: erase
DELETE FROM scripts_run WHERE account = :account
