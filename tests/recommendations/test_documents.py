"""A recommendation as a document: Markdown, JSON, paper, and links for people without an account."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from agentopt.lib.errors import Invalid
from agentopt.lib.immutable import door
from evaluation.models import Candidate, Comparison, Evaluation
from ingestion.models import LogBody, ModelOffer
from projects.models import AuditEntry, Project, User
from recommendations import reports, selectors, services, sharing
from recommendations.models import Recommendation, ShareLink
from tests.recommendations import documents, moves

Browser = Callable[[User], Client]
PROMPT = "My phone is gone and the code goes to it"


@pytest.fixture
def made(project: Project) -> Recommendation:
    """A switch with one case that got worse, whose prompt is stored."""
    record = moves.serve(project, moves.OLD, since=timezone.now(), days=1, a_day=1)[0]
    LogBody.objects.create(record=record, request="{}", preview=PROMPT)
    evidence = documents.recommended()
    evidence["worst"] = [{"case": 3, "record": record.pk, "was": 0.9, "now": 0.4, "drop": -0.5}]
    evidence["worse"] = 1
    return documents.store(project, evidence)


# ------------------------------------------------------------------------------------------------ exports
def test_markdown_says_what_the_page_says_without_prompts(made: Recommendation, member: User) -> None:
    services.acknowledge(made, by=member, now=timezone.now(), note="next sprint")

    text = reports.markdown(selectors.document(made))

    assert text.startswith("# Move Support agent from aurora-large to corvus-medium\n")
    assert "Saving a month: **$1,168** ($1,118 to $1,219, 95 %) at 212,000 calls a month." in text
    assert "| Quality | shown | −0.001 \\(−0.042 to \\+0.035\\) | above −0.050 | 0.040 |" in text
    assert "acknowledged by member@example.com: next sprint" in text
    assert PROMPT not in text
    assert text == reports.markdown(selectors.document(made))


def test_names_from_logs_are_text_and_no_marks_in_markdown(project: Project) -> None:
    evidence = documents.recommended()
    evidence["candidates"][2]["name"] = "evil | [x](http://e.example)\n# <script>"
    made = documents.store(project, evidence)

    text = reports.markdown(selectors.document(made))

    assert "[x](http" not in text
    assert "<script>" not in text
    assert "\\| \\[x\\]\\(http://e.example\\) \\# \\<script\\>" in text


def test_prices_and_versions_stand_on_the_page_and_in_exports(
    project: Project, member: User, client_of: Browser
) -> None:
    evidence = documents.recommended()
    evidence["question"]["goal_version"] = 2
    price = {"valid_from": "2026-06-01", "input_nanousd_per_million": 850_000_000,
             "output_nanousd_per_million": 3_400_000_000, "source": "catalog"}  # fmt: skip
    provenance = {"agentopt": "0.1.0", "numpy": "2.4", "prices": [price | {"model": "corvus-medium"}]}
    made = documents.store(project, evidence)
    with door():
        Recommendation.objects.filter(pk=made.pk).update(provenance=provenance)
    made.refresh_from_db()

    paper = client_of(member).get(f"{made.get_absolute_url()}print/").content.decode()
    page = client_of(member).get(made.get_absolute_url()).content.decode()
    text = reports.markdown(selectors.document(made))

    for said in ("corvus-medium $0.8500 in, $3.40 out a million tokens since 2026-06-01",
                 "agentopt 0.1.0, numpy 2.4, goal 2; quality abc"):  # fmt: skip
        assert said in page
        assert said in paper
        assert said in text


def test_a_document_names_the_version_of_the_prompt_that_it_is_about(
    project: Project, member: User, client_of: Browser
) -> None:
    evidence = documents.recommended()
    evidence["question"]["prompt_version"] = "v4 <b>"
    made = documents.store(project, evidence)

    page = client_of(member).get(made.get_absolute_url()).content.decode()
    text = reports.markdown(selectors.document(made))

    assert "of prompt version v4 &lt;b&gt; only" in page
    assert "&amp;prompt_version=v4%20%3Cb%3E" in page
    assert "# Move prompt version v4 \\<b\\> of Support agent" in text
    assert "Of prompt version v4 \\<b\\> only." in text


def test_a_document_says_why_nothing_is_recommended_and_what_is_at_stake(project: Project, member: User) -> None:
    text = reports.markdown(selectors.document(documents.store(project, documents.not_shown())))

    assert "At stake a month: **$1,168**" in text


def measure_noise(made: Recommendation) -> Evaluation:
    """The model in production against itself on 48 prompts, as a run of its own would have left it."""
    offer = ModelOffer.objects.create(project=made.project, model="aurora-large", name="aurora-large")
    Candidate.objects.create(evaluation=made.evaluation, offer=offer, position=0)
    floor = documents.finish(made.project, number=2)
    floor.kind = Evaluation.Kind.NOISE
    floor.save()
    Candidate.objects.create(evaluation=floor, offer=offer, position=0)
    itself = Candidate.objects.create(evaluation=floor, offer=offer, position=1)
    Comparison.objects.bulk_create(
        Comparison(
            evaluation=floor, candidate=itself, metric=metric, n_prompts=n, n_units=n, n_unscored=0, baseline=0.9,
            value=0.9 + estimate, estimate=estimate, low=estimate - 0.02, high=estimate + 0.03,
        )
        for metric, estimate, n in (("quality", -0.012, 46), ("safety", 0.0, 48), ("cost", 0.1, 48))
    )  # fmt: skip
    return floor


def test_the_noise_floor_stands_in_exports_as_on_the_page(
    made: Recommendation, reader: User, client_of: Browser
) -> None:
    without = reports.markdown(selectors.document(made))
    assert json.loads(client_of(reader).get(f"{made.get_absolute_url()}export.json").content)["noise_floor"] is None
    assert "noise floor" not in without

    measure_noise(made)
    page = client_of(reader).get(made.get_absolute_url()).content.decode()
    text = client_of(reader).get(f"{made.get_absolute_url()}export.md").content.decode()
    floor = json.loads(client_of(reader).get(f"{made.get_absolute_url()}export.json").content)["noise_floor"]

    # by hand: quality moved by -0.012, from -0.032 to +0.018; safety by none, from -2 to +3 points
    for said in ("−0.012 (−0.032 to +0.018)", "0.0 (−2.0 to +3.0 points)"):
        assert f"by chance {said}" in page
        assert reports.text(said) in text
    assert "aurora-large against itself on 48 prompts, evaluation 2" in text
    assert "| 46 |" in text
    assert (floor["evaluation"], floor["prompts"]) == (2, 48)
    found = {one["metric"]: one for one in floor["metrics"]}
    assert set(found) == {"quality", "safety", "cost"}
    assert (found["quality"]["estimate"], found["quality"]["prompts"]) == (-0.012, 46)
    assert (found["quality"]["low"], found["quality"]["high"]) == pytest.approx((-0.032, 0.018))
    assert {name: one["unit"] for name, one in found.items()} == {
        "quality": "score", "safety": "share", "cost": "share saved",
    }  # fmt: skip
    rest = text.replace(text[text.index("## By chance") : text.index("## Candidates")], "")
    assert rest.partition("## Where it stands")[0] == without.partition("## Where it stands")[0]  # it was seen since


@pytest.mark.parametrize("name", ["export.md", "export.json", "print/"])
def test_people_of_the_project_export_it_and_strangers_find_nothing(
    made: Recommendation, reader: User, stranger: User, client: Client, client_of: Browser, name: str
) -> None:
    address = f"{made.get_absolute_url()}{name}"

    found = client_of(reader).get(address)

    assert found.status_code == 200
    assert PROMPT not in found.content.decode()
    assert client_of(stranger).get(address).status_code == 404
    assert client.get(address).status_code == 302


def test_json_holds_the_evidence_its_hash_and_the_steps(made: Recommendation, member: User, client_of: Browser) -> None:
    services.acknowledge(made, by=member, now=timezone.now())

    found = json.loads(client_of(member).get(f"{made.get_absolute_url()}export.json").content)

    assert found["evidence_hash"] == made.evidence_hash
    assert [step["state"] for step in found["transitions"]] == ["acknowledged"]
    assert found["follow_up"] is None


# ------------------------------------------------------------------------------------------------ links
def _link(made: Recommendation, by: User, *, prompts: bool = False, days: int = 7) -> sharing.Shared:
    return sharing.share(made, days=days, shows_prompts=prompts, by=by, now=timezone.now())


def test_a_link_shows_figures_to_a_visitor_and_leads_nowhere(
    made: Recommendation, member: User, client: Client
) -> None:
    shared = _link(made, member)

    answer = client.get(f"/share/{shared.secret}/")

    text = answer.content.decode()
    assert answer.status_code == 200
    assert "Move Support agent from aurora-large to corvus-medium" in text
    assert PROMPT not in text
    assert f"/p/{made.project.slug}/" not in text
    assert answer["Cache-Control"] == "private, no-store"
    assert answer["Referrer-Policy"] == "no-referrer"
    assert answer["X-Robots-Tag"] == "noindex, nofollow"
    link = ShareLink.objects.get()
    assert link.opened == 1
    assert shared.secret not in link.digest


def test_a_link_shows_prompts_only_where_it_was_allowed(made: Recommendation, owner: User, client: Client) -> None:
    shared = _link(made, owner, prompts=True)

    assert PROMPT in client.get(f"/share/{shared.secret}/").content.decode()


def test_only_an_owner_may_let_prompts_out(made: Recommendation, member: User, owner: User, client_of: Browser) -> None:
    address = f"{made.get_absolute_url()}share/"

    client_of(member).post(address, {"days": 3, "shows_prompts": "on"})
    client_of(owner).post(address, {"days": 3, "shows_prompts": "on"})

    assert list(ShareLink.objects.order_by("pk").values_list("created_by", "shows_prompts")) == [
        (member.pk, False),
        (owner.pk, True),
    ]


def test_a_link_that_ended_or_was_revoked_is_as_if_it_never_was(
    made: Recommendation, member: User, client: Client
) -> None:
    ended, revoked = _link(made, member), _link(made, member)
    ShareLink.objects.filter(pk=ended.link.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    sharing.revoke(revoked.link, by=member, now=timezone.now())

    answers = [client.get(f"/share/{secret}/") for secret in (ended.secret, revoked.secret, "never-was")]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert all(sharing.GONE in answer.content.decode() for answer in answers)
    assert sorted(AuditEntry.objects.filter(action__startswith="recommendation.").values_list("action", flat=True)) == [
        "recommendation.share", "recommendation.share", "recommendation.unshare",
    ]  # fmt: skip


def test_the_address_of_a_link_is_shown_once(made: Recommendation, member: User, client_of: Browser) -> None:
    client, address = client_of(member), f"{made.get_absolute_url()}share/"

    first = client.post(address, {"days": 3}).content.decode()
    later = client.get(address).content.decode()

    assert "never shown again" in first
    assert "/share/" in first
    assert "never shown again" not in later
    assert "figures, no prompts" in later


def test_a_link_needs_an_end_within_ninety_days(made: Recommendation, member: User) -> None:
    for days in (0, 91):
        with pytest.raises(Invalid):
            _link(made, member, days=days)


def test_a_reader_cannot_share_and_a_stranger_finds_nothing_to_revoke(
    made: Recommendation, reader: User, stranger: User, member: User, client_of: Browser
) -> None:
    shared = _link(made, member)
    address = f"{made.get_absolute_url()}share/"

    assert client_of(reader).post(address, {"days": 3}).status_code == 403
    assert client_of(stranger).post(f"{address}{shared.link.pk}/revoke/").status_code == 404
    assert ShareLink.objects.get().revoked_at is None
