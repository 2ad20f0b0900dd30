-- The ledger of a labelling job: every question to a language model, before it is sent and after it is answered.

CREATE TABLE IF NOT EXISTS submissions (
    submission TEXT PRIMARY KEY,      -- 12 hexadecimal digits; begins the ids that a batch's requests carry
    backend TEXT NOT NULL,
    batch TEXT,                       -- the service's id; NULL until it is known
    state TEXT NOT NULL,              -- open or closed
    recoverable INTEGER NOT NULL,     -- 1 if the service can be asked for the answers after a crash
    num_requests INTEGER NOT NULL,
    created REAL NOT NULL,            -- seconds since 1970, as all times here
    ended REAL
);

-- One row a time that a question is put. State:
--   open       recorded, perhaps sent, no answer yet; counts with `reserved_usd`
--   answered   `text` is the answer; counts with `usd`
--   failed     answered with a failure that stands; counts with `usd`
--   exported   written to a file for others to answer; costs nothing here
--   void       certainly not billed: never sent, turned away, expired; may be put again
--   lost       perhaps billed, and the answer can no longer be had; counts with `reserved_usd`; may be put again
CREATE TABLE IF NOT EXISTS requests (
    submission TEXT NOT NULL REFERENCES submissions,
    ask TEXT NOT NULL,
    stage TEXT NOT NULL,
    feature INTEGER,
    model TEXT NOT NULL,
    prompt_version TEXT NOT NULL,
    state TEXT NOT NULL,
    reserved_usd REAL NOT NULL,
    usd REAL,
    text TEXT,
    failure TEXT,                     -- refused, truncated, invalid, expired or error; for void and lost: why
    detail TEXT,
    answered_by TEXT,                 -- the model, as the service names it
    stop_reason TEXT,
    request_id TEXT,
    input_tokens INTEGER,             -- neither written to nor read from a cache
    cache_write_tokens INTEGER,
    cache_read_tokens INTEGER,
    output_tokens INTEGER,
    created REAL NOT NULL,
    ended REAL,
    PRIMARY KEY (submission, ask)
);

-- No question is under way or answered twice: SQLite refuses to record a second one.
CREATE UNIQUE INDEX IF NOT EXISTS one_live_row ON requests (ask) WHERE state IN ('open', 'answered', 'failed');
CREATE INDEX IF NOT EXISTS rows_of_ask ON requests (ask);
