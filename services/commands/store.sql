-- name: add_command
INSERT INTO commands_command (id, account, project, action, timeout, device, "group", deadline)
VALUES (:id, :account, :project, :action::jsonb, :timeout, :device, :group,
        now() + make_interval(secs => :wait::float8))

-- name: add_results
INSERT INTO commands_result (command, device, account, project)
SELECT :command, device, :account, :project FROM unnest(:devices::text[]) AS device

-- name: get_command
SELECT c.id, c.number, c.project, c.action, c.timeout, c.device, c."group", c.created_at,
       c.deadline,
       coalesce((SELECT jsonb_object_agg(s.status, s.count)
                   FROM (SELECT status, count(*) AS count FROM commands_result
                          WHERE command = c.id AND account = c.account GROUP BY status) AS s), '{}')
           AS counts
  FROM commands_command AS c
 WHERE c.id = :command AND c.project = :project AND c.account = :account

-- name: list_commands
SELECT c.id, c.number, c.project, c.action, c.timeout, c.device, c."group", c.created_at,
       c.deadline,
       coalesce((SELECT jsonb_object_agg(s.status, s.count)
                   FROM (SELECT status, count(*) AS count FROM commands_result
                          WHERE command = c.id AND account = c.account GROUP BY status) AS s), '{}')
           AS counts
  FROM commands_command AS c
 WHERE c.account = :account AND c.project = :project AND (:before::bigint = 0 OR c.number < :before)
 ORDER BY c.number DESC
 LIMIT :limit

-- name: list_results
SELECT number, device, status, code, output, error, seconds, started_at, ended_at
  FROM commands_result
 WHERE command = :command AND project = :project AND account = :account AND number > :after
   AND (:status::text = '' OR status = :status)
 ORDER BY number
 LIMIT :limit

-- name: list_of_device
SELECT w.number, w.command, c.action, c.timeout, c.created_at, c.deadline,
       w.status, w.code, w.output, w.error, w.seconds, w.started_at, w.ended_at
  FROM commands_result AS w
  JOIN commands_command AS c ON c.id = w.command AND c.account = w.account
 WHERE w.account = :account AND w.device = :device AND w.project = :project
   AND (:before::bigint = 0 OR w.number < :before)
   AND (:status::text = '' OR w.status = :status)
 ORDER BY w.number DESC
 LIMIT :limit

-- name: drop_project
DELETE FROM commands_command WHERE account = :account AND project = :project

-- name: cancel
-- What has not begun; gives who may have it already.
UPDATE commands_result
   SET status = 'cancelled', ended_at = now()
 WHERE command = :command AND project = :project AND account = :account AND status = 'waiting'
RETURNING device

-- name: end_of_device
-- Nothing more is to be heard of a device that is gone.
UPDATE commands_result
   SET status = CASE WHEN status = 'waiting' THEN 'cancelled' ELSE 'lost' END,
       error = 'the device was revoked or deleted', ended_at = now(), sent_at = NULL
 WHERE account = :account AND device = :device AND status IN ('waiting', 'running')

-- name: waiting_for
-- What is to be sent to these devices now; sent again a while later, should nothing be heard.
UPDATE commands_result AS w
   SET sent_at = now()
  FROM commands_command AS c
 WHERE c.id = w.command AND w.status = 'waiting' AND c.deadline > now()
   AND w.device = ANY (:devices::text[])
RETURNING w.number, w.command, w.device, w.project, c.action, c.timeout,
          extract(epoch FROM c.deadline - now())::float8 AS within

-- name: cancelled_for
-- What these devices may have, and are not to begin any more.
UPDATE commands_result AS w
   SET sent_at = now()
  FROM commands_command AS c
 WHERE c.id = w.command AND w.status = 'cancelled' AND w.sent_at IS NOT NULL
   AND c.deadline > now() AND w.device = ANY (:devices::text[])
RETURNING w.command, w.device, w.project

-- name: unheard
SELECT DISTINCT device, account
  FROM (SELECT w.device, w.account
          FROM commands_result AS w
          JOIN commands_command AS c ON c.id = w.command
         WHERE c.deadline > now()
           AND (w.status = 'waiting' AND w.sent_at IS NULL
                OR w.status IN ('waiting', 'cancelled')
                   AND w.sent_at < now() - make_interval(secs => :seconds::float8))
         ORDER BY w.sent_at NULLS FIRST
         LIMIT :limit) AS oldest

-- name: started
-- It may have begun before it heard that it was cancelled, or when the hub had given it up.
UPDATE commands_result
   SET status = 'running', started_at = now(), ended_at = NULL, error = ''
 WHERE command = :command AND device = :device AND project = :project
   AND status IN ('waiting', 'expired', 'cancelled')

-- name: ended
-- The device's last word counts, also after the hub had given it up. That it did not begin says
-- no more than that, though, of what was not to begin.
UPDATE commands_result
   SET status = CASE WHEN :status = 'refused' AND status IN ('expired', 'cancelled') THEN status
                     ELSE :status END,
       code = :code, output = :output, error = :error, seconds = :seconds,
       started_at = CASE WHEN :status = 'refused' THEN started_at
                         ELSE coalesce(started_at, now()) END,
       ended_at = now(), sent_at = NULL
 WHERE command = :command AND device = :device AND project = :project
   AND status IN ('waiting', 'running', 'expired', 'lost', 'cancelled')

-- name: expire
UPDATE commands_result AS w
   SET status = CASE WHEN w.status = 'waiting' THEN 'expired' ELSE 'lost' END, ended_at = now(),
       error = CASE WHEN w.status = 'waiting' THEN 'it did not begin in time'
                    ELSE 'it began, and its end was not heard of in time' END
  FROM commands_command AS c
 WHERE c.id = w.command
   AND ((w.status = 'waiting' AND c.deadline < now())
        OR (w.status = 'running'
            AND w.started_at < now() - make_interval(secs => c.timeout + :grace::float8)))

-- name: forget_old
DELETE FROM commands_command WHERE created_at < now() - make_interval(days => :days::int)

-- name: count
SELECT (SELECT count(*) FROM commands_command WHERE account = :account) AS commands,
       (SELECT count(*) FROM commands_result WHERE account = :account) AS command_results

-- name: export
SELECT jsonb_build_object(
           'id', c.id, 'project', c.project, 'action', c.action, 'created_at', c.created_at,
           'results', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                           'device', w.device, 'status', w.status, 'code', w.code,
                           'ended_at', w.ended_at) ORDER BY w.number), '[]')
                         FROM commands_result AS w WHERE w.command = c.id)) AS record
  FROM commands_command AS c
 WHERE c.account = :account
 ORDER BY c.number
 OFFSET :offset LIMIT :limit

-- name: erase
DELETE FROM commands_command WHERE account = :account
