-- The index: which runs hold which words, newest first.
-- SQLite 3.34 or newer with FTS5; everything in it can be made again from the ledger and the records.
--
-- The key of a run is the millisecond at which it was asked for, so that "newest first" is the order in which FTS5
-- keeps its lists, and the first page needs no sort however many runs hold a word. `text` keeps no content and no
-- positions (detail=none): that is what keeps lists short. Since a list can only be taken back by naming its words,
-- `held` has the words of each run. Words are made by ops_lib.model.search; the tokenizer only parts them at spaces.
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL UNIQUE,
    runbook TEXT NOT NULL,
    title TEXT NOT NULL,
    outcome TEXT NOT NULL,
    target TEXT,
    system_identifier TEXT,
    database TEXT,
    person TEXT NOT NULL,
    cause TEXT NOT NULL,
    queued_at TEXT NOT NULL,
    ended_at TEXT,
    worst TEXT,
    critical INTEGER NOT NULL,
    warning INTEGER NOT NULL,
    info INTEGER NOT NULL,
    snapshot INTEGER NOT NULL,
    emergency INTEGER NOT NULL
);

CREATE TABLE held (id INTEGER PRIMARY KEY, words BLOB NOT NULL);

CREATE VIRTUAL TABLE words USING fts5 (
    text,
    content = '',
    detail = none,
    columnsize = 0,
    prefix = '2 3 4',
    tokenize = "ascii tokenchars '-_'"
);

-- Runs whose folder is not yet what the ledger says: `form` is null where it will be gone, or an object of paths and
-- digests that it will have (empty: it will be there).
CREATE TABLE awaited (run_id TEXT PRIMARY KEY, form TEXT NOT NULL) WITHOUT ROWID;

-- How much of the ledger is in here: its bytes, and length and digest of the last line that was read. `purge` says
-- that words were taken back that must not stay behind in the file.
CREATE TABLE state (
    ledger_bytes INTEGER NOT NULL,
    line_bytes INTEGER NOT NULL,
    digest TEXT NOT NULL,
    purge INTEGER NOT NULL
);
INSERT INTO state VALUES (0, 0, '', 0);
