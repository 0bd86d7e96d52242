-- Row-level security goes by a column `project` (hub/tenancy.py); here that is the id itself.
ALTER TABLE projects_project ADD COLUMN project text GENERATED ALWAYS AS (id) STORED;
