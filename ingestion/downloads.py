"""Files of exports on their way: on disk until their rows are stored, and swept where a crash left them.

Only what the project may keep as it is touches the disk. In the other privacy modes a file passes through memory.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

from django.conf import settings

from agentopt.lib.errors import AgentOptError
from ingestion.gateway import transfer
from ingestion.gateway.exports import LogExports
from ingestion.models import SyncRun
from projects.models import Privacy

STALE = timedelta(days=1)  # a pull that nobody resumes leaves no prompts lying about for longer
SPARE_BYTES = 200 * 1024**2  # the database needs room too
READ_BYTES = 1024**2
Told = Callable[[int, int | None], object]


class NoRoom(AgentOptError):
    """The disk is full."""

    code = "no_room"
    status = 507


def keeps_files(run: SyncRun) -> bool:
    """Whether an export of this project may lie on disk as it is."""
    return run.project.privacy == Privacy.FULL


def is_complete(run: SyncRun) -> bool:
    """Whether the whole file is here, so that nothing has to be asked of the gateway."""
    return run.state == SyncRun.State.STORING and keeps_files(run) and _path(run).exists()


def fetch(exports: LogExports, run: SyncRun, told: Told) -> None:
    """Bring the file of an export to the disk, going on where an earlier call, or a killed process, stopped.

    Args:
        told: called with bytes so far and in all (None: not told) as they come; may raise to stop; what came stays.

    Raises:
        CallFailed: one of its children.
        NoRoom: the disk is full.
    """
    path = _path(run)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        _fetch(exports, run, path, told)
    except transfer.Changed:
        remove(run)  # what lies here is of another file
        _fetch(exports, run, path, told)


def _fetch(exports: LogExports, run: SyncRun, path: Path, told: Told) -> None:
    mark = path.with_suffix(".tag")
    at = transfer.Transfer(path.stat().st_size, _read(mark)) if path.exists() else transfer.Transfer()
    chunks = exports.file(run.export_id, at)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as out:
            for number, chunk in enumerate(chunks):
                if number == 0:
                    _start(path, mark, at)
                out.write(chunk)
                told(at.offset, at.size)
            out.flush()
            os.fsync(out.fileno())  # the rows' place in the file is noted in the database, which outlives a power cut
    except OSError as error:
        raise NoRoom(f"The export cannot be kept in DATA_DIR: {error.strerror}. Make room and sync again.") from None


def _start(path: Path, mark: Path, at: transfer.Transfer) -> None:
    if at.size is not None and shutil.disk_usage(path.parent).free < at.size - path.stat().st_size + SPARE_BYTES:
        size = at.size // 1024**2
        raise NoRoom(f"The disk of DATA_DIR has no room for an export of {size:,} MB. Make room and sync again.")
    if at.tag:
        mark.write_text(at.tag, encoding="utf-8")


def lines(exports: LogExports, run: SyncRun) -> Iterator[bytes]:
    """Lines of a fetched export; straight from the gateway where its file may not lie on disk, or was swept."""
    path = _path(run)
    return transfer.lines(_stored(path)) if keeps_files(run) and path.exists() else exports.lines(run.export_id)


def _stored(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(READ_BYTES):
            yield chunk


def remove(run: SyncRun) -> None:
    """Leave nothing of a run's file."""
    path = _path(run)
    for one in (path, path.with_suffix(".tag")):
        one.unlink(missing_ok=True)


def sweep() -> int:
    """Remove files that no pull will go on with, such as those of projects that are gone; return how many."""
    under_way = SyncRun.objects.filter(
        state__in=(SyncRun.State.DOWNLOADING, SyncRun.State.STORING), project__privacy=Privacy.FULL
    )
    wanted = {_path(run).stem for run in under_way.only("pk", "export_id")}
    oldest, n_removed = time.time() - STALE.total_seconds(), 0
    for path in _folder().glob("*"):
        try:
            if path.stem not in wanted or path.stat().st_mtime < oldest:
                path.unlink()
                n_removed += 1
        except FileNotFoundError:
            continue  # another process swept it
    return n_removed


def _folder() -> Path:
    return Path(settings.DATA_DIR) / "exports"


def _path(run: SyncRun) -> Path:
    """The gateway chose the id of the export, so it is no name of a file."""
    return _folder() / f"{run.pk}-{hashlib.sha256(run.export_id.encode()).hexdigest()[:16]}.export"


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""
