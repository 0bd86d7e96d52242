-- An account may ask of its members that they have a second factor.
ALTER TABLE accounts_account ADD COLUMN require_second_factor boolean NOT NULL DEFAULT false;
