-- Certificates of gateways: who may speak as whom at the broker, from when, until when, and what was taken back.
CREATE TABLE gateway_certificates (
    serial text PRIMARY KEY CHECK (serial ~ '^[0-9a-f]{1,40}$'), -- RFC 5280: at most 20 octets
    organisation_id uuid NOT NULL REFERENCES organisations,
    gateway_id uuid NOT NULL,
    fingerprint text NOT NULL UNIQUE CHECK (fingerprint ~ '^[0-9a-f]{64}$'), -- SHA-256 of the certificate
    key_fingerprint text NOT NULL CHECK (key_fingerprint ~ '^[0-9a-f]{64}$'), -- SHA-256 of its public key
    certificate text NOT NULL, -- PEM; nothing in it is secret
    not_before timestamptz NOT NULL,
    not_after timestamptz NOT NULL CHECK (not_after > not_before),
    issued_at timestamptz NOT NULL,
    revoked_at timestamptz,
    revoked_because text CHECK (length(revoked_because) <= 500),
    FOREIGN KEY (organisation_id, gateway_id) REFERENCES gateways (organisation_id, id),
    CHECK ((revoked_at IS NULL) = (revoked_because IS NULL))
);
CREATE INDEX gateway_certificates_gateway ON gateway_certificates (gateway_id);
CREATE INDEX gateway_certificates_key ON gateway_certificates (key_fingerprint);
CALL plantroom.protect('gateway_certificates', 'SELECT, INSERT, UPDATE (revoked_at, revoked_because)');
CALL plantroom.place('gateway_certificates', 'plantroom.everywhere() OR gateway_id IN (SELECT id FROM gateways)');
-- What was revoked stays revoked.
CREATE POLICY once ON gateway_certificates AS RESTRICTIVE FOR UPDATE TO plantroom_app
    USING (revoked_at IS NULL) WITH CHECK (revoked_at IS NOT NULL);
