-- What the role of the API's steps does to resources, to their contracts and to accounts, beyond what rights of columns can
-- say. Who is a member of the tables' owner works on the console, or is the worker, and is asked nothing here.

CREATE FUNCTION registry.is_owner(the_table oid) RETURNS boolean LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT pg_has_role(current_user, c.relowner, 'MEMBER') FROM pg_class c WHERE c.oid = $1
$$;

-- A resource begins as a draft, goes the way of its life, and takes no other contract once it was given to be reviewed: what is
-- shared changes by a revision, which the worker puts in force.
CREATE FUNCTION registry.refuse_resource_unreviewed() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    broken text;
BEGIN
    IF registry.is_owner(TG_RELID) THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'draft' THEN
            broken := 'begins_as_draft';
        END IF;
    ELSIF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
        ('draft', 'submitted'), ('draft', 'discarded'), ('rejected', 'submitted'), ('submitted', 'published'), ('submitted', 'rejected'),
        ('published', 'frozen'), ('frozen', 'published'), ('published', 'withdrawn'), ('frozen', 'withdrawn')) THEN
        broken := 'goes_its_way';
    ELSIF OLD.state NOT IN ('draft', 'rejected')
          AND (NEW.version, NEW.source, NEW.title) IS DISTINCT FROM (OLD.version, OLD.source, OLD.title) THEN
        broken := 'changes_by_revision';
    END IF;
    IF broken IS NOT NULL THEN
        RAISE EXCEPTION 'a step does not do this to a resource'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_resource_' || broken, TABLE = 'resource', SCHEMA = 'registry';
    END IF;
    RETURN NEW;
END $$;

-- A version of a contract begins as a draft. It is in force once its resource was published with it; one of a draft gives way to
-- the next.
CREATE FUNCTION registry.refuse_version_unreviewed() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF registry.is_owner(TG_RELID)
       OR TG_OP = 'INSERT' AND NEW.status = 'draft'
       OR TG_OP = 'UPDATE' AND NEW.status = OLD.status
       OR TG_OP = 'UPDATE' AND OLD.status = 'draft' AND EXISTS (
            SELECT 1 FROM registry.resource r
             WHERE r.name = NEW.resource
               AND CASE NEW.status WHEN 'active' THEN r.state = 'published' AND r.version = NEW.version
                                   WHEN 'retired' THEN r.state IN ('draft', 'rejected') END) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a step does not do this to a version of a contract'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_contract_version_is_reviewed',
              TABLE = 'contract_version', SCHEMA = 'registry';
END $$;

-- Who makes an account gives it no role: that is another administrator's.
CREATE FUNCTION registry.refuse_account_with_roles() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF cardinality(NEW.roles) = 0 OR registry.is_owner(TG_RELID) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'an account begins without roles'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_principal_begins_without_roles', TABLE = 'principal',
              SCHEMA = 'registry';
END $$;

-- As before, and what a security officer makes, on its own ground and never to itself.
CREATE OR REPLACE FUNCTION registry.refuse_grant_unasked() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF pg_has_role(session_user, (SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'MEMBER')
       AND coalesce(nullif(current_setting('role', true), 'none'), session_user) <> 'onedoor_registry' THEN
        RETURN NULL;                                  -- the owner grants by hand: `onedoor grant add`
    END IF;
    IF TG_OP = 'INSERT' AND NEW.receiver_principal IS DISTINCT FROM NEW.made_by AND EXISTS (
        SELECT 1 FROM registry.principal p
         WHERE p.id = NEW.made_by AND p.revoked_at IS NULL AND 'security_officer' = ANY (p.roles)
    ) THEN
        RETURN NULL;
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
        RAISE EXCEPTION 'a grant is that of an application which was granted, or a security officer''s'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_grant__of_application', TABLE = 'grant_', SCHEMA = 'registry';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER by_a_step BEFORE INSERT OR UPDATE ON registry.resource
    FOR EACH ROW EXECUTE FUNCTION registry.refuse_resource_unreviewed();
CREATE TRIGGER by_a_step BEFORE INSERT OR UPDATE ON registry.contract_version
    FOR EACH ROW EXECUTE FUNCTION registry.refuse_version_unreviewed();
CREATE TRIGGER by_a_step BEFORE INSERT ON registry.principal
    FOR EACH ROW EXECUTE FUNCTION registry.refuse_account_with_roles();
ALTER TABLE registry.resource ENABLE ALWAYS TRIGGER by_a_step;
ALTER TABLE registry.contract_version ENABLE ALWAYS TRIGGER by_a_step;
ALTER TABLE registry.principal ENABLE ALWAYS TRIGGER by_a_step;
