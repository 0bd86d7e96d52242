-- Row-level security goes by a column `account` (hub/tenancy.py); here that is the id itself.
ALTER TABLE accounts_account ADD COLUMN account text GENERATED ALWAYS AS (id) STORED;
