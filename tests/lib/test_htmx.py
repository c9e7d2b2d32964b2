"""Pages and parts on one address, refusals as pages, the end of a session."""

from collections.abc import Callable

from django.test import Client, RequestFactory
from django.urls import reverse

from agentopt.lib import htmx
from projects.models import Project, User

ClientOf = Callable[[User], Client]


def test_a_page_varies_by_htmx_and_is_kept_by_nobody(client_of: ClientOf, owner: User, project: Project) -> None:
    answer = client_of(owner).get(reverse("ingestion:logs", args=[project.slug]))

    assert "HX-Request" in answer["Vary"]
    assert answer["Cache-Control"] == "private, no-store"


def test_htmx_gets_the_part_and_a_restored_page_gets_all(client_of: ClientOf, owner: User, project: Project) -> None:
    url = reverse("projects:list")
    client = client_of(owner)

    whole = client.get(url, headers={"HX-Request": "true", "HX-History-Restore-Request": "true"})

    assert b"<!doctype html>" in whole.content


def test_after_the_end_of_a_session_htmx_is_sent_to_the_sign_in_and_back_to_the_page(project: Project) -> None:
    url = reverse("ingestion:logs", args=[project.slug])
    shown = f"http://testserver{url}?model=x"

    answer = Client().get(f"{url}?after=1", headers={"HX-Request": "true", "HX-Current-URL": shown})

    assert answer["HX-Redirect"] == f"{reverse('account_login')}?next=%2Fp%2F{project.slug}%2Flogs%2F%3Fmodel%3Dx"


def test_the_way_back_never_leads_to_another_site(project: Project) -> None:
    url = reverse("ingestion:logs", args=[project.slug])

    answer = Client().get(url, headers={"HX-Request": "true", "HX-Current-URL": "https://evil.example/p/"})

    assert answer["HX-Redirect"] == reverse("account_login")


def test_a_refusal_is_a_page_with_its_status(
    client_of: ClientOf, stranger: User, reader: User, project: Project
) -> None:
    missing = client_of(stranger).get(reverse("ingestion:logs", args=[project.slug]))
    refused = client_of(reader).get(reverse("projects:settings", args=[project.slug]))
    wrong = client_of(reader).get(reverse("ingestion:logs", args=[project.slug]) + "?after=nonsense")

    assert (missing.status_code, refused.status_code, wrong.status_code) == (404, 403, 400)
    assert b"This needs the role owner" in refused.content
    assert b"no place in the list" in wrong.content


def test_a_crash_gets_a_page_with_a_number_to_find_it_by() -> None:
    request = RequestFactory().get("/p/x/")

    answer = htmx.server_error(request)

    assert answer.status_code == 500
    assert b"the number <b" in answer.content


def test_a_form_of_an_old_page_is_refused_in_words(owner: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)

    answer = client.post(reverse("projects:create"), {"name": "x"})

    assert answer.status_code == 403
    assert b"The form came from an old page" in answer.content


def test_an_unknown_address_is_a_page_of_ours(owner: User, client_of: ClientOf) -> None:
    answer = client_of(owner).get("/nowhere/")

    assert answer.status_code == 404
    assert b"There is nothing here" in answer.content


def test_a_refused_action_leads_back_to_its_page_and_nowhere_else(
    client_of: ClientOf, owner: User, project: Project
) -> None:
    own = project.memberships.get(user=owner)
    url, client = reverse("projects:remove-member", args=[project.slug, own.pk]), client_of(owner)
    members = reverse("projects:members", args=[project.slug])

    answer = client.post(url, headers={"Referer": f"http://testserver{members}"})
    elsewhere = client.post(url, headers={"Referer": "https://evil.example/"})

    assert f'href="{members}">Back to the page' in answer.content.decode()
    assert b"Back to the page" not in elsewhere.content
