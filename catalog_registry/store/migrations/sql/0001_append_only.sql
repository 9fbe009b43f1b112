-- The ledger and its checkpoints are only ever added to: the database refuses anything else, to the owner too.

CREATE FUNCTION trust.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%.% is append-only: % is refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON trust.ledger
    FOR EACH STATEMENT EXECUTE FUNCTION trust.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON trust.checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION trust.refuse_change();
ALTER TABLE trust.ledger ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE trust.checkpoint ENABLE ALWAYS TRIGGER append_only;
