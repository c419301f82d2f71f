"""Backups that are taken, and what a drill says of them while they are well."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pyrage
import pytest
from psycopg import sql

from ops_lib.archive.backup_files import NotABackup, check_files
from ops_lib.archive.repository import CONTENT
from ops_lib.model.backup import Kind, Manifest, Seen
from ops_lib.model.errors import ArchiveUnwritable, BadInput, OpsError, Refused
from ops_lib.model.target import Login
from ops_lib.operations.backups.back_up import Order, back_up
from ops_lib.operations.backups.drill import drill
from ops_lib.operations.backups.examination import Question
from ops_lib.operations.backups.retain import Retention, retain
from ops_lib.postgres import processes
from ops_lib.postgres.backups.programs import find_programs
from ops_lib.postgres.backups.scratch import sweep
from ops_lib.postgres.seat import Seat
from tests.conftest import open_session
from tests.eventually import eventually
from tests.operations.backups import damage
from tests.operations.backups.conftest import make_shelf


def names(told):
    """The checks that passed, in order."""
    return [check.name for check in told.checks if check.passed]


def content(shelf, backup) -> Path:
    """Where the files of a backup are."""
    return shelf.repository.folder(backup) / CONTENT


@pytest.fixture
def role(small: Login, server):
    """A role that may only read, as investigations do."""
    name = f"reader_{small.keywords['dbname']}"
    with open_session(small) as session:
        session.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        session.execute(sql.SQL("GRANT pg_read_all_data, pg_monitor TO {}").format(sql.Identifier(name)))
        yield replace(small, role=name)
        session.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_a_logical_backup_is_proven(shelf, take):
    """What was saved comes back, row for row, and the backup says when that was shown."""
    backup = take()
    told = drill(shelf, shelf.repository.folder(backup))
    assert told.caught_by is None, told
    assert told.proven
    assert names(told) == [
        "manifest", "signature", "cluster", "files", "restore", "counts", "digests", "sequences", "amcheck",
        "freshness", "assertions",
    ]  # fmt: skip
    assert abs(shelf.repository.find(backup.id).proven_at - told.at) < timedelta(milliseconds=1)


def test_the_database_postgres_is_proven(shelf, server):
    """A name that every cluster has; and a locale that this machine may not have is said, not feared."""
    backup = back_up(shelf, server.login(dbname="postgres"), Order(target="small"))
    assert drill(shelf, shelf.repository.folder(backup)).proven
    source = replace(backup.manifest.source, creation={"encoding": "UTF8", "provider": "c", "collate": "xx_XX.UTF-8"})
    scene = damage.scene_of(shelf, backup)
    damage.reseal(scene, saved=replace(backup.manifest.saved, source=source))
    told = drill(shelf, scene.folder)
    assert told.proven
    assert any("restored with the locale C" in check.said for check in told.checks)


def test_a_physical_backup_is_proven(shelf, take):
    """The files of the cluster come to life, of the same system."""
    backup = take(Kind.PHYSICAL)
    told = drill(shelf, shelf.repository.folder(backup))
    assert told.caught_by is None, told
    assert told.proven
    assert told.recovery_point >= backup.manifest.as_of


def test_a_manifest_is_read_as_it_was_written(shelf, take):
    """Nothing of it is lost on the disk."""
    manifest = take().manifest
    assert Manifest.from_json(json.loads(json.dumps(manifest.to_json()))) == manifest
    assert {table.name: table.rows for table in manifest.saved.tables} == {
        "public.team": 40, "public.game": 5000, '"Odd Names"."T r"': 3,
    }  # fmt: skip


def test_what_is_counted_is_what_is_dumped(shelf, small):
    """The count sees the snapshot of the dump, whatever is written meanwhile."""
    over = threading.Event()

    def write() -> None:
        with open_session(small) as session:
            while not over.is_set():
                session.execute("INSERT INTO game (team, at) VALUES (1, now())")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        backup = back_up(shelf, small, Order(target="small"))
    finally:
        over.set()
        writer.join()
    told = drill(shelf, shelf.repository.folder(backup))
    assert told.caught_by is None, told


def test_large_tables_are_sampled_and_that_is_said(shelf, take):
    """With no budget, a table with a key is seen at its ends, and one without is counted."""
    backup = take(budget=0)
    seen = {table.name: table.seen for table in backup.manifest.saved.tables}
    assert seen["public.game"] is Seen.ENDS
    assert seen['"Odd Names"."T r"'] is Seen.COUNTED
    assert any("Odd Names" in note for note in backup.manifest.saved.notes)
    told = drill(shelf, shelf.repository.folder(backup))
    assert told.caught_by is None, told


def test_passwords_are_only_in_it_where_that_was_said(shelf, take):
    """The hash of a password is a secret."""
    assert "SCRAM-SHA-256" not in (content(shelf, take()) / "roles.sql").read_text()
    assert "SCRAM-SHA-256" in (content(shelf, take(passwords=True)) / "roles.sql").read_text()


def test_a_role_that_only_reads_can_save_a_database(shelf, small, role):
    """What investigations connect as is enough for a logical backup; of a cluster it is refused with what to grant."""
    backup = back_up(shelf, role, Order(target="small"))
    assert drill(shelf, shelf.repository.folder(backup)).proven
    with pytest.raises(Refused, match="may not copy the cluster"):
        back_up(shelf, role, Order(target="small", kind=Kind.PHYSICAL))


def test_an_incremental_backup_needs_summaries(shelf, take):
    """Where the server keeps none it says so, and with nothing to build upon it is a whole one."""
    assert take(Kind.INCREMENTAL).manifest.kind is Kind.PHYSICAL
    with pytest.raises(Refused, match="summaries") as caught:
        take(Kind.INCREMENTAL)
    assert "summarize_wal" in caught.value.hint


# -- encryption ------------------------------------------------------------------------------------------------------


def test_an_encrypted_backup_is_proven_with_its_identity(shelf, small, state_folder):
    """Nothing of it can be read on the disk; who restores it names the identity, and the right one."""
    identity, other = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    files = {"own": identity, "other": other}
    for name, key in files.items():
        (state_folder / name).write_text(f"# created\n{key}\n")
    sealed = replace(shelf, recipients=(str(identity.to_public()),))
    backup = back_up(sealed, small, Order(target="small"))
    raw = [path.read_bytes() for path in content(shelf, backup).rglob("*") if path.is_file()]
    assert all(part.startswith(b"age-encryption.org/v1") for part in raw)
    folder = shelf.repository.folder(backup)
    with pytest.raises(BadInput, match="is encrypted"):
        drill(sealed, folder)
    with pytest.raises(OpsError, match="cannot be decrypted"):
        drill(replace(sealed, identity=state_folder / "other"), folder)
    assert drill(replace(sealed, identity=state_folder / "own"), folder).proven


def test_an_encrypted_copy_of_files_comes_back(shelf, take, small, state_folder):
    """Empty folders and all."""
    identity = pyrage.x25519.Identity.generate()
    (state_folder / "own").write_text(f"{identity}\n")
    sealed = replace(shelf, recipients=(str(identity.to_public()),), identity=state_folder / "own")
    backup = back_up(sealed, small, Order(target="small", kind=Kind.PHYSICAL))
    told = drill(sealed, shelf.repository.folder(backup))
    assert told.proven, told


def test_a_recipient_that_is_no_key_is_bad_input(shelf, small):
    """It is found out, and nothing is left."""
    with pytest.raises(BadInput, match="recipient"):
        back_up(replace(shelf, recipients=("age1nonsense",)), small, Order(target="small"))
    assert shelf.repository.backups() == []


# -- what goes wrong -------------------------------------------------------------------------------------------------


def left(shelf) -> list[str]:
    """What is in the repository besides its own files."""
    return sorted(path.name for path in shelf.repository.root.iterdir() if path.name not in {"lock", "index.jsonl"})


def test_a_backup_that_fails_leaves_nothing(shelf, small, role):
    """Here pg_dump is not allowed to read a table."""
    with open_session(small) as session:
        session.execute("ALTER TABLE team ENABLE ROW LEVEL SECURITY")
    with pytest.raises(OpsError, match=r"row-level security|refused"):
        back_up(shelf, role, Order(target="small"))
    assert left(shelf) == []


@contextmanager
def backing_up(folder: Path, login: Login):
    """A process that takes a backup and ends."""
    code = (
        "import sys, json; from pathlib import Path;"
        "from tests.operations.backups.conftest import make_shelf; from ops_lib.model.target import Login;"
        "from ops_lib.operations.backups.back_up import Order, back_up;"
        "login = Login.from_json(json.loads(sys.stdin.readline())); print('ready', flush=True);"
        "back_up(make_shelf(Path(sys.argv[1])), login, Order(target='small'))"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": dict(os.environ)}
    with subprocess.Popen([sys.executable, "-c", code, folder], **pipes) as started:
        started.stdin.write(json.dumps(login.to_json()) + "\n")
        started.stdin.flush()
        assert started.stdout.readline() == "ready\n"
        yield started


def test_whenever_it_is_killed_what_looks_like_a_backup_is_whole(shelf, small, state_folder):
    """Kills at random moments: each backup that is there afterwards was signed, and all its files are as written."""
    chance, whole = random.Random(), 0
    for _ in range(100 if os.environ.get("RUNBOOK_CRASH") == "whole" else 5):
        with backing_up(state_folder, small) as started:
            with suppress(subprocess.TimeoutExpired):
                started.wait(chance.uniform(0, 1.5))
            started.kill()
        assert shelf.repository.unreadable() == []
        for backup in shelf.repository.backups()[: len(shelf.repository.backups()) - whole]:
            assert shelf.repository.signed_here(shelf.repository.folder(backup))
            assert check_files(content(shelf, backup), backup.manifest.files)
        whole = len(shelf.repository.backups())
    last = back_up(shelf, small, Order(target="small"))
    assert shelf.repository.backups()[0].id == last.id
    assert eventually(lambda: shelf.repository.sweep() or len(left(shelf)) == whole + 1)


def test_a_backup_that_is_killed_leaves_nothing_that_looks_like_one(shelf, small, state_folder):
    """A lock keeps it from its end; the next backup removes what the killed one left."""
    with psycopg.connect(**small.keywords, password=small.password) as holder:
        holder.execute("LOCK TABLE pg_catalog.pg_seclabel IN ACCESS EXCLUSIVE MODE")
        with backing_up(state_folder, small) as started:
            waits = "SELECT FROM pg_stat_activity WHERE application_name = 'pg_dump' AND wait_event_type = 'Lock'"
            with open_session(small) as session:
                assert eventually(lambda: session.execute(waits).fetchone() is not None)
            started.send_signal(signal.SIGKILL)
        holder.rollback()
    assert shelf.repository.backups() == []
    assert [name[:7] for name in left(shelf)] == [".draft-"]
    draft = next(shelf.repository.root.glob(".draft-*"))

    def swept() -> bool:
        shelf.repository.sweep()
        return not draft.exists()

    assert eventually(swept), "pg_dump that was left holds the draft until it ends"


def test_no_room_is_found_out_before_it_starts(shelf):
    """More than any disk has."""
    with pytest.raises(Refused, match="free, and the backup may need") as caught:
        shelf.repository.require_room(1 << 60)
    assert "--to" in caught.value.hint
    assert left(shelf) == []


def test_a_place_that_cannot_be_written_is_named(shelf, small):
    """A file stands where the folder should be."""
    shelf.repository.root.write_text("no folder")
    with pytest.raises(ArchiveUnwritable, match="backups"):
        back_up(shelf, small, Order(target="small"))


def test_what_is_no_backup_is_bad_input(shelf, state_folder):
    """A folder of something else, and a name that is unknown."""
    with pytest.raises(NotABackup, match="is not a backup"):
        drill(shelf, state_folder)
    with pytest.raises(BadInput, match="no backup 'nope'"):
        shelf.repository.find("nope")


def test_a_backup_newer_than_every_program_is_refused(shelf, take):
    """One line that says what to install; the backup is not called damaged."""
    backup = take(Kind.PHYSICAL)
    scene, source = damage.scene_of(shelf, backup), backup.manifest.source
    damage.reseal(scene, saved=replace(backup.manifest.saved, source=replace(source, server_version=990000)))
    with pytest.raises(Refused, match="other than the server's \\(99\\)") as caught:
        drill(shelf, scene.folder)
    assert "postgresql-client-99" in caught.value.hint
    assert shelf.repository.find(backup.id).drill is None


def test_a_client_older_than_the_server_is_refused():
    """Its dump could lack what only the newer server knows."""
    with pytest.raises(Refused, match="older than the server's \\(99\\)"):
        find_programs(990000, environment={})
    with pytest.raises(BadInput, match="no pg_dump"):
        find_programs(180000, configured=Path("/nonexistent"), environment={})


def test_a_backup_of_another_archive_is_restored_only_on_somebodys_word(shelf, take, state_folder):
    """A dump is code."""
    folder = shelf.repository.folder(take())
    stranger = make_shelf(state_folder / "stranger")
    told = drill(stranger, folder)
    assert told.caught_by.name == "signature"
    assert drill(stranger, folder, Question(trust=True)).proven


def test_an_assertion_of_the_team_is_asked(shelf, take, small, state_folder):
    """A row that holds false fails the drill, and says which; a statement that fails names its line."""
    folder = shelf.repository.folder(take())
    file = state_folder / "assertions" / small.keywords["dbname"] / "platform.sql"
    file.parent.mkdir(parents=True)
    shelf = replace(shelf, assertions=state_folder / "assertions")
    file.write_text("SELECT count(*) > 0 AS filled FROM team;\nSELECT name, id < 40 AS small FROM team ORDER BY id;\n")
    told = drill(shelf, folder)
    assert told.caught_by.name == "assertions"
    assert told.caught_by.said == "platform.sql, line 2: small is false where name team 40"
    file.write_text("\nSELECT nothing FROM team;\n")
    told = drill(shelf, folder)
    assert "line 2" in told.caught_by.said
    file.write_text("DELETE FROM game;")
    assert "read-only" in drill(shelf, folder).caught_by.said


def test_a_backup_that_is_too_old_is_caught(shelf, take):
    """Freshness is what was asked for, and not the date of a file."""
    folder = shelf.repository.folder(take())
    later = replace(shelf, clock=lambda: shelf.clock() + timedelta(hours=30))
    assert drill(later, folder, Question(fresh=timedelta(hours=26))).caught_by.name == "freshness"
    assert drill(later, folder, Question(fresh=timedelta(hours=31))).proven


# -- the repository --------------------------------------------------------------------------------------------------


def test_retention_removes_only_when_told(shelf, take):
    """A dry run unless told otherwise; file dates say nothing."""
    old, new = take(), take()
    os.utime(shelf.repository.folder(old), (2e9, 2e9))
    rule = Retention(daily=1, weekly=0, monthly=0)
    assert [fate.backup.id for fate in retain(shelf, rule) if fate.goes] == [old.id]
    assert len(shelf.repository.backups()) == 2
    retain(shelf, rule, remove=True)
    assert [backup.id for backup in shelf.repository.backups()] == [new.id]
    assert shelf.repository.missing() == []


def test_a_backup_that_somebody_removed_is_missed(shelf, take):
    """The index remembers what was taken, also after a torn line."""
    backup = take()
    with (shelf.repository.root / "index.jsonl").open("ab") as file:
        file.write(b'{"event":"ta')
    take()
    folder = shelf.repository.folder(backup)
    folder.rename(folder.with_name("elsewhere"))
    assert shelf.repository.missing() == [folder.name]


def test_what_a_killed_drill_left_is_ended(shelf, state_folder):
    """Its server outlives it until the next drill."""
    code = (
        "import sys, time; from pathlib import Path;"
        "from ops_lib.postgres.backups.programs import find_programs;"
        "from ops_lib.postgres.backups.scratch import ScratchServer;"
        "server = ScratchServer(Path(sys.argv[1]), find_programs(180000, environment={}), 'postgres').__enter__();"
        "server.initialize(); server.start(); print('up', flush=True); time.sleep(600)"
    )
    shelf.drills.mkdir(mode=0o711)
    home = shelf.drills / "killed"
    with subprocess.Popen([sys.executable, "-c", code, home], stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout.readline() == "up\n"
        assert sweep(shelf.drills) == 0, "a drill that is alive keeps its server"
        started.kill()
    data = Seat(home).data
    assert processes.of_cluster(data)
    assert sweep(shelf.drills) == 1
    assert not processes.of_cluster(data)
    assert not home.exists()
