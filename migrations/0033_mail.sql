-- Addresses of mail of those who have a password here, what is sent there, and who asks for an account.

CREATE TABLE mail_addresses (
    user_name TEXT PRIMARY KEY,
    -- In small letters.
    address TEXT NOT NULL,
    -- Whoever wrote it: she herself, or an administrator.
    given_by TEXT NOT NULL,
    -- Nothing: nobody has shown that it is read; an administrator says so.
    verified_at BIGINT
);

CREATE INDEX mail_addresses_by_address ON mail_addresses (address);

-- Links that show that an address is read, before it takes the place of another.
CREATE TABLE mail_proofs (
    user_name TEXT PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    address TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- Links to a new password that were sent. Apart from those that administrators hand over: whoever asks
-- for somebody else's must not end them.
CREATE TABLE mailed_password_links (
    user_name TEXT PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    expires_at BIGINT NOT NULL
);

-- Links by which whoever reads an address makes an account.
CREATE TABLE sign_up_mails (
    address TEXT PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    expires_at BIGINT NOT NULL
);

-- Who asks for an account that an administrator has to approve.
CREATE TABLE sign_ups (
    id TEXT PRIMARY KEY,
    user_name TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    -- Who she is, in her words.
    note TEXT NOT NULL,
    asked_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
