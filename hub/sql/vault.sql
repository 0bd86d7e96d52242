-- name: get_data_key
SELECT account, project, kek, wrapped
FROM vault_data_keys
WHERE account = :account AND project = :project

-- name: add_data_key
INSERT INTO vault_data_keys (account, project, kek, wrapped)
VALUES (:account, :project, :kek, :wrapped)
ON CONFLICT (account, project) DO NOTHING

-- name: data_keys_of_other_keks
SELECT account, project, kek, wrapped
FROM vault_data_keys
WHERE kek <> :kek
ORDER BY account, project
FOR UPDATE

-- name: replace_data_key
UPDATE vault_data_keys
SET kek = :kek, wrapped = :wrapped, wrapped_at = now()
WHERE account = :account AND project = :project
