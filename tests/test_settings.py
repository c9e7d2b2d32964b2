"""Settings: read once, refused by name, all listed in .env.example."""

import os
import re
import subprocess
import sys
from math import ceil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
INTERNAL = {"AGENTOPT_WORKER", "AGENTOPT_ENV_FILE"}
WRONG = {
    "DEBUG": "maybe",
    "ALLOW_PRIVATE_ADDRESSES": "2",
    "ENABLE_SCHEDULER": "sometimes",
    "DATABASE_URL": "mysql://user:hunter2@host/name",
    "PORTKEY_BASE_URL": "gateway.example.com",
    "PUBLIC_URL": "example.com",
    "ADMIN_PATH": "../admin",
    "DEFAULT_REPLAY_SAMPLE_SIZE": "9",
    "CONFIDENCE_THRESHOLD": "0.99",
    "JUDGE_DISAGREEMENT_THRESHOLD": "nan",
    "MAX_EVALUATION_COST_USD": "-1",
    "MAX_CONCURRENT_CALLS": "0",
    "MAX_CONCURRENT_CALLS_BY_PROVIDER": "openai",
    "CALL_TIMEOUT_S": "soon",
    "EVALUATION_SCHEDULE_CRON": "0 2 * *",
    "WORKERS": "1.5",
    "JOB_STALL_S": "0",
    "JOB_LEASE_S": "0",
    "LOG_LEVEL": "LOUD",
    "EMAIL_URL": "mail.example.com",
    "AGENTOPT_ENCRYPTION_KEYS": "hunter2",
    "DATA_DIR": "/dev/null/x",
}


def read(folder: Path, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Import the settings in a process of their own and run a line of code on them."""
    clean = {"PATH": os.environ["PATH"], "AGENTOPT_ENV_FILE": os.devnull, "DATA_DIR": str(folder), **environment}
    command = [sys.executable, "-c", f"from agentopt import settings as s; {code}"]
    return subprocess.run(command, env=clean, cwd=ROOT, capture_output=True, text=True, check=False)


def names_read() -> set[str]:
    text = (ROOT / "agentopt/settings.py").read_text(encoding="utf-8")
    return set(re.findall(r'(?:_read|_kept|env\.str|environ\.get)\(\s*"([A-Z_]+)"', text)) - INTERNAL


def test_the_example_lists_every_setting_and_no_other() -> None:
    listed = re.findall(r"^#? ?([A-Z_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)

    assert sorted(listed) == sorted(names_read())


def test_the_example_as_it_stands_changes_nothing(tmp_path: Path) -> None:
    text = re.sub(r"^# ([A-Z_]+=)", r"\1", (ROOT / ".env.example").read_text(encoding="utf-8"), flags=re.MULTILINE)
    given = tmp_path / "env"
    given.write_text(re.sub(r"\s+#.*$", "", text, flags=re.MULTILINE).replace("DATA_DIR=var\n", ""), encoding="utf-8")
    shown = "print({k: v for k, v in vars(s).items() if k.isupper() and k != 'SECRET_KEY' and k[0] != '_'})"

    plain = read(tmp_path, shown)
    copied = read(tmp_path, shown, AGENTOPT_ENV_FILE=str(given))

    assert copied.returncode == 0, copied.stderr
    assert plain.stdout == copied.stdout


@pytest.mark.parametrize("name", sorted(WRONG))
def test_a_wrong_value_stops_the_start_names_itself_and_is_not_repeated(tmp_path: Path, name: str) -> None:
    found = read(tmp_path, "None", **{name: WRONG[name]})

    assert found.returncode == 1
    assert re.search(rf"ImproperlyConfigured: {name}: expected .+", found.stderr)
    assert "hunter2" not in found.stderr


def test_secrets_are_made_once_for_the_owner_only(tmp_path: Path) -> None:
    line = "print(s.SECRET_KEY, s.AGENTOPT_ENCRYPTION_KEYS)"

    first, second = read(tmp_path, line), read(tmp_path, line)

    assert first.stdout == second.stdout != ""
    assert {path.name: oct(path.stat().st_mode)[-3:] for path in tmp_path.iterdir()} == {
        "secret_key": "600",
        "encryption_keys": "600",
    }


def test_a_secret_can_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "given").write_text("from-a-file\n", encoding="utf-8")

    assert read(tmp_path, "print(s.SECRET_KEY)", SECRET_KEY_FILE=str(tmp_path / "given")).stdout == "from-a-file\n"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_one_address_switches_to_postgresql(tmp_path: Path, scheme: str) -> None:
    url = f"{scheme}://user:p%40ss@db.example.com:5433/agentopt?sslmode=require"

    line = "d = s.DATABASES['default']; print(d['ENGINE'], d['PASSWORD'], d['PORT'], d['OPTIONS']['sslmode'])"
    found = read(tmp_path, line, DATABASE_URL=url)

    assert found.stdout.split() == ["django.db.backends.postgresql", "p@ss", "5433", "require"], found.stderr


def test_a_pool_never_reaches_a_worker(tmp_path: Path) -> None:
    url, line = "postgresql://u@h/n?pool=true", "print('pool' in s.DATABASES['default']['OPTIONS'])"

    assert read(tmp_path, line, DATABASE_URL=url, AGENTOPT_WORKER="true").stdout == "False\n"


def test_another_sqlite_file_keeps_the_options_that_were_measured(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "d = s.DATABASES['default']; print(d['NAME'], d['OPTIONS']['transaction_mode'])",
        DATABASE_URL=f"sqlite:///{tmp_path}/other.db",
    )

    assert found.stdout.split() == [f"{tmp_path}/other.db", "IMMEDIATE"]


def test_a_gateway_address_without_a_path_gets_v1(tmp_path: Path) -> None:
    line = "print(s.PORTKEY_BASE_URL)"

    assert read(tmp_path, line, PORTKEY_BASE_URL="https://g.example.com/").stdout == "https://g.example.com/v1\n"
    assert read(tmp_path, line, PORTKEY_BASE_URL="https://g.example.com/x/").stdout == "https://g.example.com/x\n"


def test_an_https_address_turns_on_what_https_needs(tmp_path: Path) -> None:
    cookies = "s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE"
    line = f"print({cookies}, s.SECURE_HSTS_SECONDS > 0, 'a.example.com' in s.ALLOWED_HOSTS)"

    assert read(tmp_path, line, PUBLIC_URL="https://a.example.com").stdout == "True True True True\n"
    assert read(tmp_path, line).stdout == "False False False False\n"


def test_no_task_runs_twice_because_the_queue_is_impatient(tmp_path: Path) -> None:
    line = "q = s.Q_CLUSTER; print(q['retry'], q['timeout'], q['queue_limit'], q['workers'])"

    retry, timeout, queue_limit, workers = map(int, read(tmp_path, line, WORKERS="1").stdout.split())

    assert retry > timeout * (1 + ceil((queue_limit + 1) / workers))
