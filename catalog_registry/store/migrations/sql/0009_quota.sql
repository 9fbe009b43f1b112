-- What is counted of a grant's quota. API workers lend blocks of it, so that most calls ask nobody; what is lent is counted, so
-- that a worker that dies loses at most its block, and no more than the quota ever leaves. Only these two functions change a
-- count: the API's role may call them, and not write the table. Days and minutes are the hub's clock's, given by the caller;
-- a count never goes back to an earlier one.

CREATE TABLE exchange.quota_count (
    grant_id     text PRIMARY KEY REFERENCES registry.grant_ (id),
    day          date        NOT NULL,
    calls        bigint      NOT NULL,           -- of the day, with those that workers hold
    rows         bigint      NOT NULL,           -- of the day, with those that running answers hold
    minute       timestamptz NOT NULL,
    minute_calls bigint      NOT NULL,           -- of the minute, with those that workers hold
    saved        bigint      NOT NULL            -- that the minutes before left over for this one: at most the burst
) WITH (fillfactor = 50);

-- need: calls, or rows, that are waited for; block: as many as may be lent at once where much is left.
CREATE FUNCTION exchange.lend_quota(
    the_grant text, on_day date, in_minute timestamptz, need bigint, block bigint, need_rows bigint, block_rows bigint,
    OUT lent bigint, OUT lent_rows bigint, OUT of_day date, OUT of_minute timestamptz, OUT against text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    boundless CONSTANT bigint := 9223372036854775807;
    quota     jsonb;
    c         exchange.quota_count;
    per_day   bigint;
    a_minute  bigint;
    burst     bigint;
    a_day     bigint;
    past      bigint;
    left_day  bigint;
    left_min  bigint;
    left_rows bigint;
BEGIN
    SELECT g.quota INTO quota FROM registry.grant_ g WHERE g.id = the_grant;
    per_day := (quota ->> 'per_day')::bigint;
    a_minute := (quota ->> 'per_minute')::bigint;
    burst := coalesce((quota ->> 'burst')::bigint, 0);
    a_day := (quota ->> 'rows_per_day')::bigint;
    IF quota IS NULL THEN
        RAISE EXCEPTION 'there is no such grant with a quota' USING ERRCODE = 'no_data_found';
    END IF;
    INSERT INTO exchange.quota_count VALUES (the_grant, on_day, 0, 0, in_minute, 0, burst) ON CONFLICT DO NOTHING;
    SELECT * INTO c FROM exchange.quota_count q WHERE q.grant_id = the_grant FOR UPDATE;
    IF on_day > c.day THEN
        c.day := on_day; c.calls := 0; c.rows := 0;
    END IF;
    IF in_minute > c.minute THEN
        past := extract(epoch FROM in_minute - c.minute)::bigint / 60;
        c.saved := least(burst, greatest(0, coalesce(a_minute, 0) + c.saved - c.minute_calls)
                                + (past - 1) * coalesce(a_minute, 0));
        c.minute := in_minute; c.minute_calls := 0;
    END IF;
    -- greatest() leaves nulls out, so what is not limited is said by itself
    left_day := CASE WHEN per_day IS NULL THEN boundless ELSE greatest(0, per_day - c.calls) END;
    left_min := CASE WHEN a_minute IS NULL THEN boundless ELSE greatest(0, a_minute + c.saved - c.minute_calls) END;
    left_rows := CASE WHEN a_day IS NULL THEN boundless ELSE greatest(0, a_day - c.rows) END;
    lent := least(greatest(need, CASE WHEN need > 0 THEN least(block, left_day / 16, left_min / 16) ELSE 0 END),
                  left_day, left_min);
    lent_rows := least(greatest(need_rows, CASE WHEN need_rows > 0 THEN least(block_rows, left_rows / 16) ELSE 0 END),
                       left_rows);
    against := CASE WHEN need > 0 AND left_day = 0 THEN 'per_day'
                    WHEN need > 0 AND left_min = 0 THEN 'per_minute'
                    WHEN need_rows > lent_rows THEN 'rows_per_day' END;
    of_day := c.day;
    of_minute := c.minute;
    UPDATE exchange.quota_count q
       SET day = c.day, calls = c.calls + lent, rows = c.rows + lent_rows,
           minute = c.minute, minute_calls = c.minute_calls + lent, saved = c.saved
     WHERE q.grant_id = the_grant;
END $$;

-- Gives back what was lent and not used; of a day, or a minute, that is over there is nothing to give back to.
CREATE FUNCTION exchange.return_quota(the_grant text, of_day date, of_minute timestamptz, calls bigint, rows bigint)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
    UPDATE exchange.quota_count q
       SET calls = greatest(0, q.calls - $4), rows = greatest(0, q.rows - $5),
           minute_calls = CASE WHEN q.minute = $3 THEN greatest(0, q.minute_calls - $4) ELSE q.minute_calls END
     WHERE q.grant_id = $1 AND q.day = $2 AND $4 >= 0 AND $5 >= 0
$$;

-- Rows with personal fields that queries gave for one case under one grant in a day; the case is a pseudonym. Says whether
-- so many more may be given, and counts them if so.
CREATE TABLE exchange.case_count (
    grant_id     text NOT NULL REFERENCES registry.grant_ (id),
    case_name    text NOT NULL,
    day          date NOT NULL,
    rows         bigint NOT NULL,
    PRIMARY KEY (grant_id, case_name)
);
CREATE FUNCTION exchange.count_case(the_grant text, the_case text, on_day date, more bigint, most bigint) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
    WITH counted AS (
        INSERT INTO exchange.case_count AS c SELECT $1, $2, $3, $4 WHERE $4 BETWEEN 0 AND $5
        ON CONFLICT (grant_id, case_name) DO UPDATE
           SET day = greatest(c.day, $3), rows = CASE WHEN $3 > c.day THEN $4 ELSE c.rows + $4 END
         WHERE $3 > c.day OR c.rows + $4 <= $5
        RETURNING 1)
    SELECT EXISTS (SELECT 1 FROM counted)
$$;

REVOKE ALL ON FUNCTION exchange.lend_quota, exchange.return_quota, exchange.count_case FROM PUBLIC;

-- Grants under which rows have left in bulk: noted before the first byte, so that a grant's end leaves its duty to destroy.
CREATE TABLE exchange.grant_bulk (
    grant_id     text PRIMARY KEY REFERENCES registry.grant_ (id),
    first_at     timestamptz NOT NULL,
    settled_at   timestamptz                      -- when its end left the duty; null: it has not ended
);
CREATE INDEX grant_bulk_open ON exchange.grant_bulk (grant_id) WHERE settled_at IS NULL;

-- Those of before are in the ledger. A record is canonical JSON; it is read as text, so that one that somebody spoilt, which
-- `onedoor audit verify` finds, does not stop the migration.
INSERT INTO exchange.grant_bulk (grant_id, first_at)
SELECT g.id, min(l.at)
  FROM trust.ledger l
  JOIN registry.grant_ g ON g.id = substring(encode(l.record, 'escape') FROM '"grant":"([0-9a-z]+)"')
 WHERE l.kind = 'resource.query' AND encode(l.record, 'escape') ~ '"outcome":"allowed"'
 GROUP BY g.id;

-- A grant that the role of the API's steps makes is that of an application which was granted, of the same resource and
-- receiver, for no more fields, no other purpose and item, no longer and no oftener. Looked at when the transaction commits.
CREATE FUNCTION registry.refuse_grant_unasked() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF pg_has_role(session_user, (SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'MEMBER')
       AND coalesce(nullif(current_setting('role', true), 'none'), session_user) <> 'onedoor_registry' THEN
        RETURN NULL;                                  -- the owner grants by hand: `onedoor grant add`
    END IF;
    IF NOT EXISTS (
        SELECT 1 FROM registry.application a
         WHERE a.grant_id = NEW.id AND a.state = 'granted' AND a.resource = NEW.resource
           AND NEW.fields <@ a.fields AND NEW.purposes <@ a.purposes AND NEW.items <@ a.items
           AND NEW.purposes @> a.purposes AND NEW.items @> a.items
           AND NEW.from_at >= a.from_at AND NEW.to_at <= a.to_at
           AND NEW.receiver_principal IS NULL AND NEW.receiver_system IS NOT DISTINCT FROM a.system
           AND (a.system IS NOT NULL OR NEW.receiver_department = a.department)
           AND (a.row_filter IS NULL OR NEW.row_filter IS NOT NULL)
           AND NOT EXISTS (SELECT 1 FROM jsonb_each(coalesce(a.quota, '{}'::jsonb)) l
                            WHERE coalesce((NEW.quota ->> l.key)::bigint, 9223372036854775807) > (l.value)::bigint)
    ) THEN
        RAISE EXCEPTION 'a grant is that of an application which was granted'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_grant__of_application', TABLE = 'grant_', SCHEMA = 'registry';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER of_application AFTER INSERT OR UPDATE OF resource, fields, purposes, items, from_at, to_at,
    receiver_department, receiver_system, receiver_principal, row_filter, quota ON registry.grant_
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION registry.refuse_grant_unasked();
ALTER TABLE registry.grant_ ENABLE ALWAYS TRIGGER of_application;
