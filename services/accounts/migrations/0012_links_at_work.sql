-- Until when somebody is at work with a link: nobody else gets to use it meanwhile.
ALTER TABLE accounts_link ADD COLUMN taken_until timestamptz;
