-- name: lock_project
-- Those who make rules of one project wait for each other: else more got in than may.
SELECT pg_advisory_xact_lock(hashtextextended(:project, 1095519841))

-- name: count_rules
SELECT count(*) FROM alerts_rule WHERE account = :account AND project = :project

-- name: add_rule
INSERT INTO alerts_rule (id, account, project, name, kind, device_group, severity, enabled,
                         minutes, metric, over, under, clear)
VALUES (:id, :account, :project, :name, :kind, :group, :severity, :enabled, :minutes, :metric,
        :over, :under, :clear)
RETURNING id, number, account, project, name, kind, device_group AS "group", severity, enabled,
          minutes, metric, over, under, clear, version, created_at, updated_at, 0 AS firing

-- name: get_rule
SELECT id, number, account, project, name, kind, device_group AS "group", severity, enabled,
       minutes, metric, over, under, clear, version, created_at, updated_at,
       (SELECT count(*) FROM alerts_state AS s WHERE s.rule = r.id AND s.firing) AS firing
  FROM alerts_rule AS r WHERE id = :rule AND account = :account

-- name: lock_rule
SELECT version FROM alerts_rule WHERE id = :rule AND account = :account FOR UPDATE

-- name: list_rules
SELECT id, number, account, project, name, kind, device_group AS "group", severity, enabled,
       minutes, metric, over, under, clear, version, created_at, updated_at,
       (SELECT count(*) FROM alerts_state AS s WHERE s.rule = r.id AND s.firing) AS firing
  FROM alerts_rule AS r
 WHERE account = :account AND project = :project AND number > :after
 ORDER BY number LIMIT :limit

-- name: change_rule
UPDATE alerts_rule
   SET name = :name, kind = :kind, device_group = :group, severity = :severity,
       enabled = :enabled, minutes = :minutes, metric = :metric, over = :over, under = :under,
       clear = :clear, version = version + 1, updated_at = now()
 WHERE id = :rule AND account = :account

-- name: drop_states
-- Of a rule that changes, or ends: it begins anew.
DELETE FROM alerts_state WHERE rule = :rule AND account = :account

-- name: delete_rule
DELETE FROM alerts_rule WHERE id = :rule AND account = :account

-- name: list_events
SELECT number, rule, rule_name, device, host, subject, state, severity, text, at
  FROM alerts_event
 WHERE account = :account AND project = :project
   AND (:before::bigint = 0 OR number < :before)
   AND (:rule::text = '' OR rule = :rule) AND (:device::text = '' OR device = :device)
 ORDER BY number DESC LIMIT :limit

-- name: delete_of_project
DELETE FROM alerts_rule WHERE account = :account AND project = :project

-- name: delete_events_of_project
DELETE FROM alerts_event WHERE account = :account AND project = :project

-- name: delete_of_account
DELETE FROM alerts_rule WHERE account = :account

-- name: delete_events_of_account
DELETE FROM alerts_event WHERE account = :account

-- name: count
SELECT count(*) FROM alerts_rule WHERE account = :account

-- name: export
SELECT jsonb_build_object(
           'id', id, 'project', project, 'name', name, 'kind', kind, 'group', device_group,
           'severity', severity, 'enabled', enabled, 'minutes', minutes, 'metric', metric,
           'over', over, 'under', under, 'clear', clear, 'created_at', created_at) AS record
  FROM alerts_rule WHERE account = :account ORDER BY number LIMIT :limit OFFSET :offset

-- name: export_events
SELECT jsonb_build_object(
           'project', project, 'rule', rule, 'rule_name', rule_name, 'device', device,
           'subject', subject, 'state', state, 'text', text, 'at', at) AS record
  FROM alerts_event WHERE account = :account ORDER BY number LIMIT :limit OFFSET :offset

-- ── by the leader ────────────────────────────────────────────────────────────────────────────

-- name: enabled_rules
SELECT id, number, account, project, name, kind, device_group AS "group", severity, enabled,
       minutes, metric, over, under, clear, version, created_at, updated_at, 0 AS firing
  FROM alerts_rule WHERE enabled ORDER BY project, number

-- name: states
SELECT rule, device, subject, since, firing FROM alerts_state WHERE project = :project

-- name: keep_state
-- Not for a rule that was changed or deleted meanwhile.
INSERT INTO alerts_state (rule, device, subject, account, project, since, firing)
SELECT r.id, new.device, new.subject, r.account, r.project, new.since, new.firing
  FROM unnest(:rules::text[], :versions::bigint[], :devices::text[], :subjects::text[],
              :sinces::timestamptz[], :firings::boolean[])
       AS new (rule, version, device, subject, since, firing)
  JOIN alerts_rule AS r ON r.id = new.rule AND r.version = new.version
ON CONFLICT (rule, device, subject) DO UPDATE
   SET since = excluded.since, firing = excluded.firing

-- name: drop_state
DELETE FROM alerts_state AS s
 USING unnest(:rules::text[], :devices::text[], :subjects::text[]) AS old (rule, device, subject)
 WHERE s.rule = old.rule AND s.device = old.device AND s.subject = old.subject

-- name: add_event
INSERT INTO alerts_event (account, project, rule, rule_name, device, host, subject, state,
                          severity, text, at)
SELECT r.account, r.project, r.id, r.name, :device, :host, :subject, :state, :severity, :text, :at
  FROM alerts_rule AS r WHERE r.id = :rule AND r.version = :version

-- name: untold
SELECT number, project, host, severity, text, at FROM alerts_event
 WHERE NOT told ORDER BY number LIMIT 500

-- name: told
UPDATE alerts_event SET told = true WHERE number = ANY(:numbers)

-- name: drop_old_events
DELETE FROM alerts_event WHERE at < :before AND told
