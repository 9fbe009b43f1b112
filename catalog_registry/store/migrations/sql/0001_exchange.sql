-- The exchange's own tables: bus, runs, positions, quarantine, trust. The registry's tables come from the models in
-- catalog_registry/store/tables.py. No default here asks the database's clock: every instant comes from the hub's clock.

CREATE SCHEMA IF NOT EXISTS bus;
CREATE SCHEMA IF NOT EXISTS exchange;
CREATE SCHEMA IF NOT EXISTS trust;
CREATE SCHEMA IF NOT EXISTS store;   -- serving tables, one for each resource
CREATE SCHEMA IF NOT EXISTS stage;   -- shadow tables and stages of runs, dropped when a run closes

-- The bus on PostgreSQL -------------------------------------------------------------------------------------------------

CREATE TABLE bus.topic (
    name        text PRIMARY KEY,
    id          uuid NOT NULL UNIQUE,          -- a topic made again has another id, and its readers stop
    partitions  int  NOT NULL CHECK (partitions > 0),
    created_at  timestamptz NOT NULL
);
CREATE TABLE bus.partition (
    topic_id    uuid NOT NULL REFERENCES bus.topic (id) ON DELETE CASCADE,
    partition   int  NOT NULL,
    next        bigint NOT NULL DEFAULT 0,     -- next offset to give out; taken last in a publishing transaction
    first       bigint NOT NULL DEFAULT 0,     -- first offset still kept
    bytes       bigint NOT NULL DEFAULT 0,     -- of the values still kept
    PRIMARY KEY (topic_id, partition)
) WITH (fillfactor = 50);
-- One table a day, made ahead and dropped when old; the default one takes what no day was made for.
CREATE TABLE bus.message (
    topic_id    uuid   NOT NULL,
    partition   int    NOT NULL,
    "offset"    bigint NOT NULL,
    at          timestamptz NOT NULL,
    key         bytea,
    headers     json   NOT NULL,
    value       bytea  NOT NULL
) PARTITION BY RANGE (at);
ALTER TABLE bus.message ALTER COLUMN value SET STORAGE EXTERNAL;
CREATE INDEX message_offset ON bus.message (topic_id, partition, "offset");
CREATE TABLE bus.message_default PARTITION OF bus.message DEFAULT;
-- Leases are measured by the machines' clocks, not by the hub's clock, which a setting may speed up.
CREATE TABLE bus.member (
    "group"     text NOT NULL,
    member      text NOT NULL,
    topics      text[] NOT NULL,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY ("group", member)
);
CREATE TABLE bus.lease (
    "group"     text NOT NULL,
    topic       text NOT NULL,
    partition   int  NOT NULL,
    holder      text,
    epoch       bigint NOT NULL DEFAULT 0,
    expires_at  timestamptz,
    position    bigint NOT NULL DEFAULT 0,     -- for lag only; the true position is exchange.position
    PRIMARY KEY ("group", topic, partition)
);

-- Runs ------------------------------------------------------------------------------------------------------------------

CREATE TABLE exchange.run (
    id            text PRIMARY KEY,
    resource      text NOT NULL,
    contract_version text NOT NULL,
    mode          text NOT NULL CHECK (mode IN ('full', 'incremental')),
    state         text NOT NULL CHECK (state IN ('collecting', 'collected', 'proved', 'failed')),
    attempt       int  NOT NULL DEFAULT 1,
    topic         text NOT NULL,
    topic_id      text NOT NULL,
    started_at    timestamptz NOT NULL,
    collected_at  timestamptz,
    ended_at      timestamptz,
    as_of_first   timestamptz,
    as_of_last    timestamptz,
    cursor_after  text,                        -- canonical text of the cursor this run started after, null: from the start
    cursor_bound  text,                        -- canonical text of the upper bound of this run
    bound_kind    text CHECK (bound_kind IN ('computed', 'declared')),
    source_stable boolean,
    rows_read     bigint NOT NULL DEFAULT 0,
    rows_set_aside bigint NOT NULL DEFAULT 0,
    rows_inserted bigint, rows_changed bigint, rows_unchanged bigint, rows_deleted bigint,
    read_is_landed boolean,
    error         jsonb,                       -- {code, message, where, remedy, kind}
    report        jsonb NOT NULL DEFAULT '{}', -- stages with counts and seconds, quality, GX verdict
    report_claimed_at timestamptz,
    report_state  text NOT NULL DEFAULT 'none' CHECK (report_state IN ('none', 'claimed', 'done', 'failed'))
);
CREATE INDEX run_resource ON exchange.run (resource, started_at DESC);
CREATE UNIQUE INDEX run_one_at_a_time ON exchange.run (resource) WHERE state IN ('collecting', 'collected');

CREATE TABLE exchange.chunk (
    run         text NOT NULL REFERENCES exchange.run (id) ON DELETE CASCADE,
    chunk       int  NOT NULL,
    attempt     int  NOT NULL,
    state       text NOT NULL CHECK (state IN ('spooled', 'published')),
    after_key   jsonb,                         -- sealed form of the key the chunk starts after, null: from the start
    upto_key    jsonb,                         -- the last key it holds, null: to the end
    rows_read   bigint NOT NULL,
    rows_set_aside bigint NOT NULL,
    messages    int NOT NULL,
    as_of       timestamptz NOT NULL,
    totals      jsonb NOT NULL,                -- {partition: {messages, rows, hash_sum}}
    PRIMARY KEY (run, chunk)
);

CREATE TABLE exchange.cursor (
    resource    text PRIMARY KEY,
    value       text NOT NULL,                 -- canonical text
    run         text NOT NULL,
    at          timestamptz NOT NULL
);

-- Landing ---------------------------------------------------------------------------------------------------------------

CREATE TABLE exchange.position (
    consumer    text NOT NULL,
    topic       text NOT NULL,
    topic_id    text NOT NULL,
    partition   int  NOT NULL,
    next        bigint NOT NULL,
    PRIMARY KEY (consumer, topic, partition)
);
CREATE TABLE exchange.landed (
    run         text NOT NULL,
    partition   int  NOT NULL,
    messages    bigint NOT NULL DEFAULT 0,
    rows        bigint NOT NULL DEFAULT 0,
    hash_sum    numeric(39) NOT NULL DEFAULT 0,
    manifest    jsonb,                         -- the end-of-run message of the partition, once it has come
    PRIMARY KEY (run, partition)
);
CREATE TABLE exchange.landed_message (           -- ids already landed of open runs: a message published twice lands once
    run         text NOT NULL,
    id          text NOT NULL,
    PRIMARY KEY (run, id)
);
CREATE TABLE exchange.set_rule_finding (         -- rows set aside by rules over a whole set, counted into the run
    run         text NOT NULL,
    rule        text NOT NULL,
    rows        bigint NOT NULL,
    PRIMARY KEY (run, rule)
);

CREATE TABLE exchange.quarantine (
    id          text PRIMARY KEY,
    resource    text NOT NULL,
    run         text NOT NULL,
    chunk       int,
    row_key     text,                          -- the key where no part of it is personal, else its pseudonym
    landed_key  text[],                        -- the key as the serving table has it, hashes as hex; null: it has none
    findings    jsonb NOT NULL,                -- [{field, rule, reason}]; never a value
    row_sealed  bytea NOT NULL,                -- the row as JSON, sealed
    key_id      text NOT NULL,
    state       text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'repaired', 'replayed', 'dropped')),
    at          timestamptz NOT NULL
);
CREATE INDEX quarantine_run ON exchange.quarantine (run);
CREATE INDEX quarantine_resource ON exchange.quarantine (resource, at DESC);

CREATE TABLE exchange.duty (                     -- work that one worker holds at a time
    name        text PRIMARY KEY,
    holder      text,
    epoch       bigint NOT NULL DEFAULT 0,
    expires_at  timestamptz
);

-- Trust -----------------------------------------------------------------------------------------------------------------

CREATE TABLE trust.data_key (
    id          text PRIMARY KEY,              -- <resource>/<yyyy-mm>/<n>
    resource    text NOT NULL,
    wrapped     bytea NOT NULL,                -- under the key-encryption key, which is outside the database
    kek_id      text NOT NULL,
    created_at  timestamptz NOT NULL
);
CREATE TABLE trust.ledger (
    chain       text   NOT NULL,               -- one chain for each incarnation of a process
    n           bigint NOT NULL,
    at          timestamptz NOT NULL,
    kind        text   NOT NULL,
    record      bytea  NOT NULL,               -- canonical JSON, as hashed
    hash        bytea  NOT NULL,
    PRIMARY KEY (chain, n)
);
CREATE INDEX ledger_at ON trust.ledger (at);
CREATE TABLE trust.checkpoint (
    n           bigint PRIMARY KEY,
    at          timestamptz NOT NULL,
    body        bytea NOT NULL,                -- canonical JSON: previous root, chain heads, Merkle root
    root        bytea NOT NULL,
    signature   bytea NOT NULL,
    key_id      text  NOT NULL
);
CREATE TABLE trust.sealed (                      -- how far checkpoints seal each chain, for the sealer; verifying trusts it not
    chain       text PRIMARY KEY,
    n           bigint NOT NULL,
    checkpoint  bigint NOT NULL
);
