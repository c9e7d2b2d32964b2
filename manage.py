#!/usr/bin/env python
"""Runs a command."""

import os
import sys
import threading


def main() -> None:
    """Run it; a database that is not ready ends it in one sentence, unless `--traceback` asks for all."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentopt.settings")
    from django.core.management import execute_from_command_line

    threading.excepthook = _end_thread
    try:
        execute_from_command_line(sys.argv)
    except Exception as error:
        if not _say(error):
            raise
        sys.exit(1)


def _say(error: BaseException | None) -> bool:
    """Say what keeps the database from its work; False where the error is another one, or is wanted as it is."""
    from django.db import Error

    if not isinstance(error, Error) or "--traceback" in sys.argv:
        return False
    from agentopt.lib import database

    # here and not in each command: those of the framework and of the queue end so as well
    says = database.trouble(error, migrating="migrate" in sys.argv[1:2])
    if says:
        sys.stderr.write(f"CommandError: {says}\n")
    return says is not None


def _end_thread(args: threading.ExceptHookArgs) -> None:
    """As above for `runserver`, which runs beside the thread that looks for changes, and would wait for one."""
    if args.thread is None or args.thread.name != "django-main-thread" or not _say(args.exc_value):
        threading.__excepthook__(args)
        return
    sys.stderr.flush()
    os._exit(1)


if __name__ == "__main__":
    main()
