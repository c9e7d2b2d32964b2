"""Install and run the open-source gateway on loopback for as long as a test needs it."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

FOLDER = Path(__file__).resolve().parent
PROGRAM = FOLDER / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
START_S = 30.0


def install() -> str | None:
    """Install the pinned packages where they are missing; what is in the way, or None."""
    if PROGRAM.exists():
        return None
    if not shutil.which("npm") or not shutil.which("node"):
        return "node and npm are not installed"
    done = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        check=False,
    )
    return None if done.returncode == 0 else f"npm ci failed: {done.stderr.strip()[-300:]}"


@contextmanager
def running() -> Iterator[str]:
    """Start the gateway and yield its address, /v1 included.

    Raises:
        RuntimeError: it does not answer in time.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        ["node", str(PROGRAM), "--headless", f"--port={port}"],
        env={**os.environ, "NODE_OPTIONS": f"--require {FOLDER / 'loopback.cjs'}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(f"http://127.0.0.1:{port}/", process)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(10)


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            httpx.get(url, timeout=1)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("the gateway does not answer")
