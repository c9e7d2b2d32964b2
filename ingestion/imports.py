"""Files that people upload: a look at them before anything is stored, and taking them in."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO

from django.utils import timezone

from agentopt.lib.errors import Invalid
from ingestion import entries, files, hashing, privacy, retention, rollups, store, usecases, values
from ingestion.formats import detection
from ingestion.models import Batch
from projects.models import Project

LOOKED_AT_ROWS = 20
PREVIEWED_ROWS = 10
PREVIEWED_CALLS = 30
Row = tuple[int, bytes]


@dataclass(frozen=True)
class Seen:
    """A row as it would be taken in: its calls as the privacy mode would leave them, or why it would be set aside."""

    line: int
    calls: tuple[values.RawRecord, ...] = ()
    aside: values.RowAside | None = None


@dataclass(frozen=True)
class Preview:
    """The first rows of a file as they would be understood. `cut`: what was given ends in the middle of the file."""

    format: str
    rows: tuple[Seen, ...]
    more: bool
    cut: bool = False

    @property
    def calls(self) -> int:
        """How many calls the rows shown hold."""
        return sum(len(row.calls) for row in self.rows)


def label(project: Project, name: str) -> str:
    """The name of a file as the project may keep and show it."""
    return privacy.label_text(name, mode=project.privacy, own=privacy.rules(project.privacy_patterns))


def import_file(
    project: Project,
    path: Path | str,
    *,
    format: str | None = None,  # noqa: A002
    simulated: bool = False,
    beat: Callable[..., object] | None = None,
    label: str | None = None,
) -> values.Imported:
    """Store the rows of a file (`files.rows` says of which kinds); its format is found by looking unless named.

    Args:
        label: what the rows set aside are filed under; the file's name unless given.
        beat: called with `done=`, rows read so far, after each committed chunk.

    Raises:
        Invalid: no such file, an empty one, an unknown format, one of a kind we do not read, or a damaged one: what
            came before the damage is stored then.
    """
    path = Path(path)
    with files.opened(path) as stream:
        found = _taken(project, stream, label or path.name, format, simulated=simulated, beat=beat)
    rollups.refresh(project)
    return found


def import_upload(
    project: Project,
    upload: IO[bytes],
    *,
    name: str,
    format: str | None = None,  # noqa: A002
) -> values.Imported:
    """The same for a file that was sent; it is read where it lies, in memory or on disk.

    Raises:
        Invalid: as for a file.
    """
    with files.unpacked(upload) as stream:
        found = _taken(project, stream, name, format)
    rollups.ask(project)
    return found


def _taken(
    project: Project,
    stream: files.Stream,
    name: str,
    format: str | None,  # noqa: A002
    *,
    simulated: bool = False,
    beat: Callable[..., object] | None = None,
) -> values.Imported:
    with _rows(stream, name, format) as (found, rows):
        imported = store.append(
            project,
            rows,
            format=found,
            source=Batch.Source.FILE,
            label=name,
            simulated=simulated,
            now=timezone.now(),
            beat=beat,
        )
    usecases.start_if_due(project)
    return imported


@contextmanager
def _rows(stream: files.Stream, name: str, format: str | None) -> Iterator[tuple[str, Iterator[Row]]]:  # noqa: A002
    """The format of a file and its rows that are not blank."""
    rows = (row for row in files.rows(stream) if row[1].strip())
    first = list(islice(rows, LOOKED_AT_ROWS))
    if not first:
        raise Invalid(f"{name} is empty: there are no logs in it.", fields={"file": "It is empty."})
    yield format or detection.detect([line for _, line in first]), chain(first, rows)


def preview(
    project: Project,
    upload: IO[bytes],
    *,
    name: str,
    format: str | None = None,  # noqa: A002
    cut: bool = False,
) -> Preview:
    """The first ten rows of a file as they would be understood and kept; nothing is stored.

    Args:
        cut: only the start of the file was given, so that its end tells of no damage.

    Raises:
        Invalid: an empty file, an unknown format, or one of a kind we do not read.
    """
    rows: list[Row] = []
    with files.unpacked(upload) as stream:
        found = (row for row in files.rows(stream) if row[1].strip())
        with suppress(Invalid) if cut else nullcontext():
            rows.extend(islice(found, LOOKED_AT_ROWS))
    if cut and len(rows) > 1 and len(rows) < LOOKED_AT_ROWS:
        rows.pop()  # it may be half a row
    if not rows:
        raise Invalid(f"{name} is empty: there are no logs in it.", fields={"file": "It is empty."})
    chosen = format or detection.detect([raw for _, raw in rows])
    source = _source(project, chosen)
    seen = tuple(_seen(source, line, raw) for line, raw in rows[:PREVIEWED_ROWS])
    return Preview(chosen, seen, more=len(rows) > PREVIEWED_ROWS, cut=cut)


def _source(project: Project, format: str) -> entries.Source:  # noqa: A002
    return entries.Source(
        read=detection.reader(format),
        mode=project.privacy,
        rules=privacy.rules(project.privacy_patterns),
        hasher=hashing.Hasher(project.hash_key),
        now=timezone.now(),
        occurrence=lambda _content: 1,
        standing=retention.standing(project),
    )


def _seen(source: entries.Source, line: int, raw: bytes) -> Seen:
    found = entries.told(source, line, raw)
    if isinstance(found, values.RowAside):
        return Seen(line, aside=found)
    return Seen(line, tuple(entries.kept(source, call).record for call in found[:PREVIEWED_CALLS]))
