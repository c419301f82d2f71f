"""Lint: what is known from earlier files and from a live target changes what is said."""

from pathlib import Path

import pytest

from ops_lib.model.errors import BadInput
from ops_lib.model.finding import Severity
from ops_lib.model.lint import Linted, LintFinding, TableUse
from ops_lib.model.migration import Script
from ops_lib.postgres.lint.lint import lint
from ops_lib.postgres.lint.use import tables

BUSY = TableUse(size_bytes=325_058_560, rows=2_200_000, writes=1200, applications=("etl",))
EMPTY = TableUse(size_bytes=0, rows=0)
BOUNDED = "SET lock_timeout = '2s';\n"


def script(text: str, name: str = "a.sql") -> Script:
    return Script(file=Path(name), text=text)


def alarms(*texts: str) -> list[list[str]]:
    """The rules that raise an alarm in each text, in the order of their lines."""
    return [[alarm.rule for alarm in found.alarms] for found in lint([script(text) for text in texts])]


def only(found: list[Linted], rule: str) -> LintFinding:
    (finding,) = (finding for each in found for finding in each.findings if finding.rule == rule)
    return finding


def test_what_an_earlier_file_makes_is_new() -> None:
    """A table of an earlier file is nobody's yet, also under its new name; another one of its old name is not."""
    made = "CREATE TABLE raw.a (id int); ALTER TABLE raw.a RENAME TO b;"
    change = BOUNDED + "ALTER TABLE raw.{0} ALTER id SET NOT NULL; CREATE INDEX ON raw.{0} (id);"
    assert alarms(made, change.format("b")) == [[], []]
    assert alarms(made, change.format("a")) == [[], ["index-without-concurrently", "set-not-null"]]


def test_a_search_path_says_where_bare_names_are() -> None:
    """A bare name in a file with a search path is the table of that schema."""
    made = "SET search_path TO raw, public; CREATE TABLE a (id int);"
    assert alarms(made, "CREATE INDEX ON raw.a (id);") == [[], []]
    assert alarms(made, "CREATE INDEX ON a (id);")[1] == ["index-without-concurrently", "no-lock-timeout"]


def test_a_table_that_the_target_has_is_not_new() -> None:
    """CREATE TABLE IF NOT EXISTS makes nothing new where the live target has the table."""
    texts = [script("CREATE TABLE IF NOT EXISTS raw.a (id int); CREATE INDEX ON raw.a (id);")]
    assert lint(texts)[0].alarms == ()
    assert only(lint(texts, use={"raw.a": BUSY}), "index-without-concurrently").severity is Severity.CRITICAL


def test_a_finding_says_who_is_stopped() -> None:
    """The lock, the table, its size and its users stand in the summary."""
    found = only(lint([script("VACUUM FULL raw.a;")], use={"raw.a": BUSY}), "vacuum-full")
    place = "ACCESS EXCLUSIVE on raw.a (2.2 million rows, 310 MB, 1,200 writes a minute, in use by etl): "
    assert found.summary == place + "nobody can read or write while the whole table is written anew"
    assert (found.lock, found.subject) == ("ACCESS EXCLUSIVE", "raw.a")


def test_an_empty_table_is_changed_without_an_alarm() -> None:
    """Without rows there is nothing to scan or to lose; who may read it matters all the same."""
    texts = [script(f"{BOUNDED}DROP TABLE raw.a; CREATE INDEX ON raw.b (c); GRANT SELECT ON raw.b TO PUBLIC;")]
    (found,) = lint(texts, use={"raw.a": EMPTY, "raw.b": EMPTY})
    assert [alarm.rule for alarm in found.alarms] == ["grant-to-public"]
    assert {"drop-table", "index-without-concurrently"} < {finding.rule for finding in found.findings}


def test_our_runner_bounds_waits_by_itself() -> None:
    """The rule about lock timeouts is no alarm where our runner applies the file."""
    texts = [script("ALTER TABLE raw.a ADD b int;")]
    assert only(lint(texts), "no-lock-timeout").severity is Severity.WARNING
    assert only(lint(texts, runner=True), "no-lock-timeout").severity is Severity.INFO


@pytest.mark.parametrize(
    ("old", "new", "severity"),
    [
        ("character varying(20)", "varchar(40)", None),
        ("character varying(20)", "text", None),
        ("integer", "text", Severity.CRITICAL),
        ("numeric(8,2)", "numeric(12,2)", None),
        ("numeric(8,2)", "numeric(12,4)", Severity.CRITICAL),
        ("timestamp(3) without time zone", "timestamp", None),
        ("timestamp with time zone", "timestamp", Severity.CRITICAL),
        ("cidr", "inet", None),
        (None, "varchar(40)", Severity.WARNING),
        (None, "bigint", Severity.CRITICAL),
        (None, "text", Severity.INFO),
    ],
)
def test_the_old_type_tells_what_a_new_one_costs(old: str | None, new: str, severity: Severity | None) -> None:
    """A live target knows the old type; without it, what depends on it is a warning."""
    use = TableUse(size_bytes=8192, rows=9, columns={"b": old} if old else {})
    (found,) = lint([script(f"{BOUNDED}ALTER TABLE raw.a ALTER b TYPE {new};")], use={"raw.a": use})
    said = [finding.severity for finding in found.findings if finding.rule == "type-change"]
    assert said == ([severity] if severity else [])


def test_a_check_of_the_live_table_is_a_proof() -> None:
    """What the target has validated makes SET NOT NULL and ATTACH PARTITION safe."""
    live = ("CHECK ((b IS NOT NULL) AND (at >= '2025-01-01 00:00:00+00'::timestamp with time zone))",)
    use = {"raw.a": TableUse(size_bytes=8192, rows=9, checks=live)}
    attach = "ALTER TABLE raw.p ATTACH PARTITION raw.a FOR VALUES FROM ('2025-01-01') TO (MAXVALUE);"
    for text in ("ALTER TABLE raw.a ALTER b SET NOT NULL;", attach):
        assert lint([script(BOUNDED + text)], use=use)[0].alarms == ()
        assert lint([script(BOUNDED + text)])[0].alarms != ()


def test_a_proof_must_be_about_the_same_column() -> None:
    """A validated check about another column, or one side of an OR, proves nothing."""
    for check in ("c IS NOT NULL", "b IS NOT NULL OR c > 1", "b > 1"):
        made = f"{BOUNDED}ALTER TABLE raw.a ADD CONSTRAINT k CHECK ({check}) NOT VALID;"
        texts = (made, "ALTER TABLE raw.a VALIDATE CONSTRAINT k;", BOUNDED + "ALTER TABLE raw.a ALTER b SET NOT NULL;")
        assert alarms(*texts) == [[], [], ["set-not-null"]]


def test_a_constraint_of_another_file_is_proven_by_its_name() -> None:
    """Where only its validation is seen, a name with the column in it has to do; twice is no harm."""
    proof = "ALTER TABLE a VALIDATE CONSTRAINT b_filled; ALTER TABLE a VALIDATE CONSTRAINT b_filled;"
    assert alarms(proof, f"{BOUNDED}ALTER TABLE a ALTER b SET NOT NULL;") == [[], []]
    assert alarms(proof, f"{BOUNDED}ALTER TABLE a ALTER c SET NOT NULL;") == [[], ["set-not-null"]]


def test_lines_are_those_of_the_file() -> None:
    """A subcommand, a statement in a DO block and what squawk says are found where they stand."""
    text = (
        "-- up\nALTER TABLE raw.a\n    ADD COLUMN b int,\n    ADD COLUMN c uuid DEFAULT gen_random_uuid();\n"
        "DO $$\nBEGIN\n    DELETE FROM raw.a;\nEND $$;\n"
    )
    found = lint([Script(file=Path("a.sql"), text=text, first_line=11)])
    lines = {rule: only(found, rule).line for rule in ("volatile-default", "delete-without-where")}
    lines["squawk"] = only(found, "prefer-bigint-over-int").line
    assert lines == {"volatile-default": 14, "delete-without-where": 17, "squawk": 13}
    assert only(found, "prefer-bigint-over-int").subject == "raw.a"


def test_a_setting_ends_with_its_transaction_or_file() -> None:
    """SET LOCAL bounds one transaction, SET a session, and each file has a session of its own."""
    change = "ALTER TABLE raw.a ADD b int;"
    assert alarms(f"BEGIN; SET LOCAL lock_timeout = 100; {change} COMMIT;") == [[]]
    assert alarms(f"SELECT set_config('lock_timeout', '1s', false); {change}") == [[]]
    assert alarms(BOUNDED + change, change) == [[], ["no-lock-timeout"]]
    assert alarms(f"{BOUNDED}RESET lock_timeout; {change}") == [["no-lock-timeout"]]


@pytest.mark.parametrize(
    ("body", "rules"),
    [
        ("EXECUTE 'DROP TABLE ' || quote_ident(t) || ' CASCADE';", {"drop-cascade", "ddl-in-do", "no-lock-timeout"}),
        ("EXECUTE format('UPDATE %I SET a = %L', t, 1);", {"unbatched-update"}),
        ("IF t THEN CREATE INDEX ON a (b); END IF;", {"index-without-concurrently", "ddl-in-do", "no-lock-timeout"}),
        ("CREATE TABLE raw.made (a int); CREATE INDEX ON raw.made (a);", set()),
        ("EXECUTE t;", set()),
    ],
)  # fmt: skip
def test_do_blocks_are_read(body: str, rules: set[str]) -> None:
    """What a block runs is judged like any statement, also where it is put together as text."""
    (found,) = lint([script(f"DO $do$ DECLARE t text; BEGIN {body} END $do$;")])
    assert {alarm.rule for alarm in found.alarms} == rules


@pytest.mark.parametrize("text", ["SELECT 1;\n\\set x 1\n", "SELECT 1;\nALTER TABEL a;", "SELECT 1;\nDO $$ BEGIN"])
def test_what_is_not_sql_is_refused(text: str) -> None:
    """File and line are named, and a hint is given."""
    with pytest.raises(BadInput, match=r"^a.sql, line 2: .*: it must be SQL alone"):
        lint([script(text)])


def test_blocks_that_cannot_be_read_are_left_alone() -> None:
    """A DO block in another language, or with an error of its own, is no reason to fail."""
    assert alarms("DO LANGUAGE plpython3u $$ print(1) $$;", "DO $$ BEGIN nonsense here; END $$;") == [[], []]


def test_tables_are_named_as_findings_name_them() -> None:
    """With their schema, those in DO blocks and that of a dropped index too."""
    texts = [
        "SET search_path = raw; CREATE INDEX i ON a (b);",
        "DROP INDEX raw.i; DO $$ BEGIN DELETE FROM c; END $$;",
    ]
    assert tables([script(text) for text in texts]) == ("public.c", "raw.a")


def test_json_has_what_was_agreed() -> None:
    """The keys of a file and of a finding, and nothing else."""
    (found,) = lint([script("TRUNCATE raw.a;")])
    told = found.to_json()
    assert list(told) == ["file", "findings"]
    assert list(told["findings"][0]) == ["rule", "line", "lock", "subject", "severity", "summary", "remedy"]
    assert told["findings"][0]["severity"] in ("warning", "critical")


def test_nothing_is_said_of_nothing() -> None:
    """No scripts, and a script without a statement, are fine."""
    assert lint([]) == []
    assert alarms("-- nothing yet\n", "") == [[], []]
