"""Raw bytes of files that SQLite has open in this process."""

import subprocess
from pathlib import Path


def raw_bytes(path: Path) -> bytes:
    """What stands in the file, read by a process of its own.

    Closing any handle of a file drops all locks that the process holds on it. SQLite's would go with them, and the next
    process to open the database would cut its shared memory short: https://sqlite.org/howtocorrupt.html, 2.2.
    """
    return subprocess.run(["cat", str(path)], check=True, capture_output=True).stdout
