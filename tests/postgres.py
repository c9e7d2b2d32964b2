"""A private PostgreSQL cluster for one run of the tests: own folder, own port, gone afterwards."""

import glob
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def find_programs() -> Path | None:
    """The folder of initdb and pg_ctl, or None where PostgreSQL is not installed."""
    newest_first = sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)  # noqa: PTH207
    on_path = [str(Path(found).parent) for found in [shutil.which("initdb")] if found]
    for folder in [*newest_first, *on_path]:
        if (Path(folder) / "initdb").exists() and (Path(folder) / "pg_ctl").exists():
            return Path(folder)
    return None


def _as_server(command: list[str]) -> None:
    """Run as the server's own user: PostgreSQL refuses to run as root."""
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    subprocess.run([*prefix, *command], check=True, stdout=subprocess.DEVNULL, cwd="/")


@contextmanager
def cluster() -> Iterator[str | None]:
    """Yield the DATABASE_URL of a running cluster, or None where none can be started."""
    programs = find_programs()
    if programs is None:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="agentopt-pg-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        data = str(folder / "data")
        _as_server([str(programs / "initdb"), "-D", data, "-A", "trust", "-U", "agentopt", "-E", "UTF8", "--locale=C"])
        # durability is not what these tests are about, and two cores are few
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=80"
        _as_server([str(programs / "pg_ctl"), "-D", data, "-l", str(folder / "log"), "-w", "-o", options, "start"])
        try:
            yield f"postgresql://agentopt@127.0.0.1:{port}/postgres"
        finally:
            _as_server([str(programs / "pg_ctl"), "-D", data, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
