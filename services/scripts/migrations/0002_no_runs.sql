-- A script that is run once is a command, and the service `commands` keeps these.
DROP TABLE scripts_result;
DROP TABLE scripts_run;
