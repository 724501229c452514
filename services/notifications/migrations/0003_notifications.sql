-- Feeds of notifications, what users wish to be told, and mails on their way out.

-- One row per user that was ever told something. Whoever changes what the user sees locks it first, so that a
-- user's changes have one order.
CREATE TABLE notifications.feeds (
    user_id       bigint PRIMARY KEY CHECK (user_id > 0),
    -- Position of the latest notification; positions are given out here, under the row's lock.
    last_seq      bigint  NOT NULL DEFAULT 0 CHECK (last_seq >= 0),
    -- Notifications that are kept, and those of them that are unread: lists count nothing.
    kept          integer NOT NULL DEFAULT 0 CHECK (kept >= 0),
    unread        integer NOT NULL DEFAULT 0 CHECK (unread BETWEEN 0 AND kept),
    -- Grows with every change of the feed, and with every change of the preferences.
    version       bigint  NOT NULL DEFAULT 0,
    prefs_version bigint  NOT NULL DEFAULT 0,
    -- The language that the user was last known to read.
    locale        text    NOT NULL DEFAULT 'pt-BR' CHECK (locale IN ('pt-BR', 'en')),
    -- Set when the user is gone. The row stays, empty: a fact that arrives late must find nobody to tell, and
    -- versions must not begin again.
    erased_at     timestamptz
);
CREATE INDEX feeds_overfull ON notifications.feeds (kept) WHERE kept > 1000;

CREATE TABLE notifications.notifications (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id    bigint NOT NULL REFERENCES notifications.feeds,
    seq        bigint NOT NULL CHECK (seq > 0),
    kind       text   NOT NULL CHECK (length(kind) BETWEEN 1 AND 64),
    title      text   NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
    body       text   NOT NULL CHECK (length(body) <= 2000),
    link       text   CHECK (link LIKE '/%' AND length(link) <= 500),
    dedupe_key text   NOT NULL CHECK (length(dedupe_key) BETWEEN 1 AND 200),
    read_at    timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT notifications_position UNIQUE (user_id, seq),
    CONSTRAINT notifications_once     UNIQUE (user_id, dedupe_key)
);
CREATE INDEX notifications_unread ON notifications.notifications (user_id, seq) WHERE read_at IS NULL;

-- What is not here is as it is by default: told both ways.
CREATE TABLE notifications.preferences (
    user_id bigint  NOT NULL REFERENCES notifications.feeds,
    kind    text    NOT NULL CHECK (length(kind) BETWEEN 1 AND 64),
    in_app  boolean NOT NULL,
    email   boolean NOT NULL,
    PRIMARY KEY (user_id, kind)
);

-- The queue of mails.
CREATE TABLE notifications.emails (
    id              uuid PRIMARY KEY,
    dedupe_key      text NOT NULL CHECK (length(dedupe_key) BETWEEN 1 AND 200),
    -- Whom it is about; none once they are erased.
    user_id         bigint,
    template        text NOT NULL,
    locale          text NOT NULL CHECK (locale IN ('pt-BR', 'en')),
    -- Address, name and variables, encrypted: links in mails are as good as passwords. Gone once the mail is.
    -- Without an address in there, the user's own is asked for when the mail is sent.
    sealed          bytea,
    -- The same over every attempt: two copies of a mail are one mail to its reader.
    message_id      text NOT NULL,
    status          text NOT NULL DEFAULT 'queued'
                    CHECK (status IN ('queued', 'sending', 'sent', 'failed', 'dead')),
    attempts        integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- While it is being sent: until when its worker has it for itself.
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    last_error      text CHECK (length(last_error) <= 500),
    created_at      timestamptz NOT NULL DEFAULT now(),
    finished_at     timestamptz,
    CONSTRAINT emails_once UNIQUE (dedupe_key),
    CHECK ((status IN ('sent', 'dead')) = (finished_at IS NOT NULL)),
    CHECK (status NOT IN ('sent', 'dead') OR sealed IS NULL)
);
CREATE INDEX emails_due      ON notifications.emails (next_attempt_at) WHERE status IN ('queued', 'sending', 'failed');
CREATE INDEX emails_finished ON notifications.emails (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX emails_user     ON notifications.emails (user_id) WHERE user_id IS NOT NULL;

-- Where mails go while there is nobody to send them: in development only.
CREATE TABLE notifications.mailbox (
    email_id     uuid PRIMARY KEY REFERENCES notifications.emails ON DELETE CASCADE,
    to_email     citext NOT NULL,
    subject      text NOT NULL,
    text_body    text NOT NULL,
    html_body    text NOT NULL,
    delivered_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX mailbox_latest ON notifications.mailbox (delivered_at DESC);
CREATE INDEX mailbox_to     ON notifications.mailbox (to_email, delivered_at DESC);

-- Users see and change what is their own, whatever their role: nobody reads another's notifications.
ALTER TABLE notifications.feeds ENABLE ROW LEVEL SECURITY;
ALTER TABLE notifications.feeds FORCE ROW LEVEL SECURITY;
CREATE POLICY own     ON notifications.feeds FOR ALL TO mc_user, mc_admin
    USING (user_id = (SELECT app.uid())) WITH CHECK (user_id = (SELECT app.uid()));
CREATE POLICY service ON notifications.feeds FOR ALL TO mc_service USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON notifications.feeds TO mc_user, mc_admin, mc_service;

ALTER TABLE notifications.notifications ENABLE ROW LEVEL SECURITY;
ALTER TABLE notifications.notifications FORCE ROW LEVEL SECURITY;
CREATE POLICY own     ON notifications.notifications FOR ALL TO mc_user, mc_admin
    USING (user_id = (SELECT app.uid())) WITH CHECK (user_id = (SELECT app.uid()));
CREATE POLICY service ON notifications.notifications FOR ALL TO mc_service USING (true) WITH CHECK (true);
GRANT SELECT, UPDATE (read_at), DELETE ON notifications.notifications TO mc_user, mc_admin;
GRANT SELECT, INSERT, DELETE ON notifications.notifications TO mc_service;

ALTER TABLE notifications.preferences ENABLE ROW LEVEL SECURITY;
ALTER TABLE notifications.preferences FORCE ROW LEVEL SECURITY;
CREATE POLICY own     ON notifications.preferences FOR ALL TO mc_user, mc_admin
    USING (user_id = (SELECT app.uid())) WITH CHECK (user_id = (SELECT app.uid()));
CREATE POLICY service ON notifications.preferences FOR ALL TO mc_service USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON notifications.preferences TO mc_user, mc_admin;
GRANT SELECT, DELETE ON notifications.preferences TO mc_service;

ALTER TABLE notifications.emails ENABLE ROW LEVEL SECURITY;
ALTER TABLE notifications.emails FORCE ROW LEVEL SECURITY;
CREATE POLICY service ON notifications.emails FOR ALL TO mc_service USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON notifications.emails TO mc_service;

ALTER TABLE notifications.mailbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE notifications.mailbox FORCE ROW LEVEL SECURITY;
CREATE POLICY service ON notifications.mailbox FOR ALL TO mc_service USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON notifications.mailbox TO mc_service;
