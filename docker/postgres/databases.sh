#!/bin/bash
# Roles and databases of the hub, made at the first start of the container; the same as `onedoor up` makes.
set -euo pipefail
psql -v ON_ERROR_STOP=1 -U postgres \
  -v owner="$ONEDOOR_DB_PASSWORD" -v api="$ONEDOOR_API_DB_PASSWORD" -v registry="$ONEDOOR_REGISTRY_DB_PASSWORD" \
  -v airflow="$AIRFLOW_DB_PASSWORD" <<'SQL'
CREATE ROLE onedoor LOGIN PASSWORD :'owner';
CREATE ROLE onedoor_api LOGIN PASSWORD :'api';
CREATE ROLE onedoor_registry LOGIN PASSWORD :'registry';
CREATE ROLE airflow LOGIN PASSWORD :'airflow';
CREATE DATABASE onedoor OWNER onedoor;
CREATE DATABASE airflow OWNER airflow;
REVOKE ALL ON DATABASE onedoor, airflow FROM PUBLIC;
GRANT CONNECT ON DATABASE onedoor TO onedoor_api, onedoor_registry;
\connect onedoor
CREATE EXTENSION pg_trgm;
SQL
