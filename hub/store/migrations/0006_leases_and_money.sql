-- Tenants, leases, charges, invoices and the ledger.
CREATE TABLE tenants (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations,
    code text NOT NULL,
    name_zh text NOT NULL,
    name_en text NOT NULL,
    tax_number text NOT NULL DEFAULT '',
    address text NOT NULL DEFAULT '',
    UNIQUE (organisation_id, code)
);
CALL plantroom.protect('tenants', 'SELECT, INSERT, UPDATE');
CALL plantroom.confine('tenants', 'id');
ALTER TABLE users ADD FOREIGN KEY (tenant_id) REFERENCES tenants;

CREATE TABLE leases (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations,
    site_id uuid NOT NULL REFERENCES sites,
    tenant_id uuid NOT NULL REFERENCES tenants,
    code text NOT NULL,
    start_on date NOT NULL,
    end_on date NOT NULL, -- last day of the term
    rent_per_m2_month numeric(12, 4) NOT NULL CHECK (rent_per_m2_month >= 0),
    rent_tax text NOT NULL,
    proration text NOT NULL DEFAULT 'actual_actual',
    electricity_tariff text,
    water_tariff text,
    due_days integer NOT NULL CHECK (due_days BETWEEN 0 AND 365),
    UNIQUE (organisation_id, code),
    CHECK (end_on >= start_on)
);
CALL plantroom.protect('leases', 'SELECT, INSERT, UPDATE');
CALL plantroom.confine('leases', 'tenant_id');

CREATE TABLE lease_units (
    organisation_id uuid NOT NULL REFERENCES organisations,
    lease_id uuid NOT NULL REFERENCES leases,
    space_id uuid NOT NULL REFERENCES spaces,
    area_m2 numeric(12, 2) NOT NULL CHECK (area_m2 > 0), -- as contracted
    PRIMARY KEY (lease_id, space_id)
);
CALL plantroom.protect('lease_units', 'SELECT, INSERT');

CREATE TABLE invoices (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations,
    site_id uuid NOT NULL REFERENCES sites,
    tenant_id uuid NOT NULL REFERENCES tenants,
    lease_id uuid NOT NULL REFERENCES leases,
    number text NOT NULL,
    period_start date NOT NULL,
    period_end date NOT NULL, -- first day after
    issued_on date NOT NULL,
    due_on date NOT NULL,
    currency text NOT NULL,
    net numeric(18, 2) NOT NULL,
    tax numeric(18, 2) NOT NULL,
    total numeric(18, 2) NOT NULL CHECK (total = net + tax),
    lines integer NOT NULL CHECK (lines > 0), -- how many charges it has, so that none can be added later
    UNIQUE (organisation_id, number)
);
CREATE INDEX invoices_lease ON invoices (lease_id, period_start);
CALL plantroom.protect('invoices', 'SELECT, INSERT');
CALL plantroom.confine('invoices', 'tenant_id');
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON invoices FOR EACH ROW EXECUTE FUNCTION plantroom.refuse_change();

CREATE TABLE charges (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations,
    tenant_id uuid NOT NULL REFERENCES tenants,
    lease_id uuid NOT NULL REFERENCES leases,
    invoice_id uuid NOT NULL REFERENCES invoices,
    kind text NOT NULL CHECK (kind IN ('rent', 'electricity', 'water')),
    device_id uuid REFERENCES devices, -- the meter; NULL for rent
    period_start date NOT NULL,
    period_end date NOT NULL,
    line integer NOT NULL, -- place on the invoice
    description_zh text NOT NULL,
    description_en text NOT NULL,
    quantity numeric NOT NULL, -- every digit that was metered
    unit text NOT NULL,
    estimated boolean NOT NULL DEFAULT false,
    amount numeric(18, 2) NOT NULL, -- net
    tax_code text NOT NULL,
    tax_rate numeric(7, 4) NOT NULL,
    tax numeric(18, 2) NOT NULL,
    evidence jsonb NOT NULL, -- readings, multiplier, tariff version, days, rounding, rule
    UNIQUE NULLS NOT DISTINCT (lease_id, kind, device_id, period_start),
    UNIQUE (invoice_id, line)
);
CREATE INDEX charges_device ON charges (device_id);
CALL plantroom.protect('charges', 'SELECT, INSERT');
CALL plantroom.confine('charges', 'tenant_id');
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON charges FOR EACH ROW EXECUTE FUNCTION plantroom.refuse_change();
CREATE TRIGGER kept BEFORE TRUNCATE ON invoices FOR EACH STATEMENT EXECUTE FUNCTION plantroom.refuse_change();
CREATE TRIGGER kept BEFORE TRUNCATE ON charges FOR EACH STATEMENT EXECUTE FUNCTION plantroom.refuse_change();

-- Checked when the transaction commits, for every invoice that it touched: all its charges are there and sum to it.
CREATE FUNCTION plantroom.check_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    target uuid := coalesce(to_jsonb(NEW) ->> 'invoice_id', to_jsonb(NEW) ->> 'id')::uuid;
    fits boolean;
BEGIN
    SELECT count(*) = i.lines AND sum(c.amount) = i.net AND sum(c.tax) = i.tax INTO fits
    FROM invoices i JOIN charges c ON c.invoice_id = i.id WHERE i.id = target GROUP BY i.id;
    IF fits IS NOT TRUE THEN
        RAISE EXCEPTION 'the charges of invoice % do not make up its totals', target USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER complete AFTER INSERT ON invoices DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION plantroom.check_invoice();
CREATE CONSTRAINT TRIGGER complete AFTER INSERT ON charges DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION plantroom.check_invoice();

CREATE TABLE parked_leases ( -- a bill run never guesses: what it could not bill, and why
    organisation_id uuid NOT NULL REFERENCES organisations,
    lease_id uuid NOT NULL REFERENCES leases,
    period_start date NOT NULL,
    reason_zh text NOT NULL,
    reason_en text NOT NULL,
    parked_at timestamptz NOT NULL,
    PRIMARY KEY (lease_id, period_start)
);
CALL plantroom.protect('parked_leases', 'SELECT, INSERT, UPDATE, DELETE');

CREATE TABLE accounts ( -- of the ledger
    organisation_id uuid NOT NULL REFERENCES organisations,
    code text NOT NULL,
    name_zh text NOT NULL,
    name_en text NOT NULL,
    PRIMARY KEY (organisation_id, code)
);
CALL plantroom.protect('accounts', 'SELECT, INSERT');

CREATE TABLE postings (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations,
    posted_on date NOT NULL,
    currency text NOT NULL,
    source text NOT NULL, -- what caused it, e.g. invoice
    source_id uuid NOT NULL,
    description text NOT NULL,
    lines integer NOT NULL CHECK (lines >= 2), -- how many it has, so that none can be added later
    UNIQUE (organisation_id, source, source_id)
);
CALL plantroom.protect('postings', 'SELECT, INSERT');
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON postings FOR EACH ROW EXECUTE FUNCTION plantroom.refuse_change();

CREATE TABLE posting_lines (
    organisation_id uuid NOT NULL,
    posting_id uuid NOT NULL REFERENCES postings,
    line integer NOT NULL,
    account text NOT NULL,
    debit numeric(18, 2) NOT NULL DEFAULT 0 CHECK (debit >= 0),
    credit numeric(18, 2) NOT NULL DEFAULT 0 CHECK (credit >= 0),
    tenant_id uuid REFERENCES tenants,
    lease_id uuid REFERENCES leases,
    PRIMARY KEY (posting_id, line),
    FOREIGN KEY (organisation_id, account) REFERENCES accounts (organisation_id, code),
    CHECK ((debit = 0) <> (credit = 0))
);
CALL plantroom.protect('posting_lines', 'SELECT, INSERT');
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON posting_lines FOR EACH ROW EXECUTE FUNCTION plantroom.refuse_change();

-- Checked when the transaction commits, for every posting that it touched: all its lines are there, debits equal credits.
CREATE FUNCTION plantroom.check_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    target uuid := coalesce(to_jsonb(NEW) ->> 'posting_id', to_jsonb(NEW) ->> 'id')::uuid;
    off numeric;
    found integer;
    due integer;
BEGIN
    SELECT lines INTO due FROM postings WHERE id = target;
    SELECT sum(debit) - sum(credit), count(*) INTO off, found FROM posting_lines WHERE posting_id = target;
    IF found <> coalesce(due, 0) OR off <> 0 THEN
        RAISE EXCEPTION 'posting % does not balance (% of % lines, off by %)', target, found, due, coalesce(off, 0)
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER balanced AFTER INSERT ON postings DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION plantroom.check_balance();
CREATE CONSTRAINT TRIGGER balanced AFTER INSERT ON posting_lines DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION plantroom.check_balance();
CREATE TRIGGER kept BEFORE TRUNCATE ON postings FOR EACH STATEMENT EXECUTE FUNCTION plantroom.refuse_change();
CREATE TRIGGER kept BEFORE TRUNCATE ON posting_lines FOR EACH STATEMENT EXECUTE FUNCTION plantroom.refuse_change();
