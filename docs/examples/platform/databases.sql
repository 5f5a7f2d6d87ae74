-- Run once by PostgreSQL's image, when the volume is new: two databases, each for a user that sees no other.
\getenv mlflow_password MLFLOW_DB_PASSWORD
\getenv ledger_password LEDGER_DB_PASSWORD
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow_password';
CREATE ROLE ledger LOGIN PASSWORD :'ledger_password';
CREATE DATABASE mlflow OWNER mlflow;
CREATE DATABASE ledger OWNER ledger;
REVOKE CONNECT, TEMPORARY ON DATABASE mlflow FROM PUBLIC;
REVOKE CONNECT, TEMPORARY ON DATABASE ledger FROM PUBLIC;
