"""What logs lack, counted; and our cost beside the source's own."""

from collections.abc import Callable
from datetime import timedelta

from django.test import Client
from django.utils import timezone

from ingestion import coverage, services
from projects.models import Project, User
from tests.ingestion.conftest import portkey_row


def test_each_gap_is_counted_by_model(agent: Project) -> None:
    now = timezone.now()
    whole = portkey_row(1, created_at=now.isoformat())
    no_price = portkey_row(2, created_at=now.isoformat(), ai_model="private-1", cost=0.02)
    no_price["request"]["model"] = no_price["response"]["model"] = "private-1"
    no_tokens = portkey_row(3, created_at=now.isoformat(), req_units=None, res_units=None, cost=None, trace_id=None)
    del no_tokens["response"]["usage"]
    no_body = portkey_row(4, created_at=now.isoformat(), request=None, response=None)
    old = portkey_row(5, created_at=(now - timedelta(days=9)).isoformat())
    services.push(agent, [whole, no_price, no_tokens, no_body, old])

    found = {one.model: one for one in coverage.coverage(agent, now - timedelta(days=7))}

    assert (found[""].calls, found["gpt-4o-mini"].calls, found["private-1"].calls) == (4, 3, 1)
    assert found[""].lacking == {"tokens": 1, "price": 1, "cost": 1, "body": 1, "trace": 1, "time": 0}
    assert found["private-1"].lacking["price"] == 1


def test_our_cost_is_held_against_the_sources(agent: Project) -> None:
    # by hand: 1,000 in and 50 out of gpt-4o-mini at $0.15 and $0.60 a million are $0.00018; the source says 0.02 cents
    services.push(agent, [portkey_row(1, cost=0.02)])

    found = coverage.coverage(agent)[0]

    assert (found.n_compared, found.ours_nanousd, found.source_nanousd) == (1, 180_000, 200_000)
    assert found.deviation == -0.1


def test_a_source_that_says_nothing_or_zero_is_no_comparison(agent: Project) -> None:
    services.push(agent, [portkey_row(1, cost=0), portkey_row(2, cost=None)])

    found = coverage.coverage(agent)[0]

    assert (found.n_compared, found.deviation) == (0, None)


def test_the_page_shows_gaps_and_cost(project: Project, reader: User, client_of: Callable[[User], Client]) -> None:
    services.push(project, [portkey_row(1, created_at=timezone.now().isoformat())])

    text = client_of(reader).get("/p/support-agent/logs/coverage/?range=7d").content.decode()

    assert "no conversation told" in text
    assert "gpt-4o-mini" in text
    assert "Our cost against the source" in text
