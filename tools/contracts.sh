#!/bin/bash
# contracts.sh [FOLDER]: writes contracts/<entity>.schema.json from what the rooms declared. Needs a server where this checkout is
# installed (PGHOST, PGUSER ... as for psql); works in a database of its own, which it drops.
set -euo pipefail
out=${1:-$(dirname "$0")/../contracts}
database=distsync_contracts_$$
psql -qX -d postgres -c "CREATE DATABASE $database"
trap 'psql -qX -d postgres -c "DROP DATABASE $database"' EXIT
export PGDATABASE=$database
psql -qX -v ON_ERROR_STOP=1 -c 'CREATE EXTENSION distsync' 2>&1 | grep -v NOTICE || true
mkdir -p "$out"
rm -f "$out"/*.schema.json
psql -qXAt -v ON_ERROR_STOP=1 -c "SELECT entity FROM distsync_internal.document_entity ORDER BY entity COLLATE \"C\"" | while read -r entity; do
	psql -qXAt -v ON_ERROR_STOP=1 -c "SELECT jsonb_pretty(distsync_internal.door_contract('$entity'))" > "$out/$entity.schema.json"
done
