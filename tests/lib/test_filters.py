"""Numbers, money and time as pages show them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import timezone

from agentopt.lib import filters, wording


@pytest.mark.parametrize(
    ("usd", "text"),
    [(29.43, "$29.43"), (1168, "$1,168.00"), (0.00214, "$0.002140"), (-6.84, "−$6.84"), (0, "$0.00"),
     (0.53, "$0.5300"), (Decimal("796.514"), "$796.51"), (0.0000421, "$0.00004210"), (None, "–")],
)  # fmt: skip
def test_dollars_have_two_digits_from_one_and_four_significant_below(usd: object, text: str) -> None:
    assert wording.dollars(usd) == text


def test_cells_of_a_row_are_escaped_under_their_head() -> None:
    row = ["Nov 1", "<b>", "4"]

    assert filters.cells(row) == '<th scope="row">Nov 1</th><td class="num">&lt;b&gt;</td><td class="num">4</td>'


def test_a_cost_per_call_becomes_one_per_thousand_calls() -> None:
    assert wording.amount(wording.per_1000(0.00284)) == "2.84"
    assert wording.per_1000(None) is None


def test_nano_dollars_become_dollars_and_unknown_stays_unknown() -> None:
    assert wording.dollars(wording.nano(8_790_000)) == "$0.008790"
    assert wording.dollars(wording.nano(None)) == "–"


def test_shares_have_one_digit_and_a_narrow_space() -> None:
    assert wording.percent(0.03) == "3.0\u202f%"
    assert wording.percent(0.634, 0) == "63\u202f%"
    assert wording.percent(-0.001, 0) == "0\u202f%"


def test_differences_carry_their_sign_and_zero_has_none() -> None:
    assert wording.points(0.004) == "+0.4 points"
    assert wording.points(-0.007) == "−0.7 points"
    assert wording.signed(-0.0004) == "0.000"
    assert wording.signed(0.035) == "+0.035"


def test_an_interval_says_both_ends_and_its_unit_once() -> None:
    assert wording.interval({"low": -0.042, "high": 0.035}) == "(−0.042 to +0.035)"
    assert wording.interval({"low": -0.037, "high": 0.012}, "points") == "(−3.7 to +1.2 points)"
    assert wording.interval({"low": 1118, "high": 1219}, "dollars:0") == "($1,118 to $1,219)"
    assert wording.interval({"low": None, "high": 1}) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.866, "86\u202f%"),
        (0.7, "70\u202f%"),
        (0.999, "99\u202f%"),
        (1.0, "over 99\u202f%"),
        (0.004, "under 1\u202f%"),
        (None, "–"),
    ],
)
def test_a_confidence_is_rounded_down_and_never_0_or_100(value: object, text: str) -> None:
    assert wording.confidence(value) == text


def test_a_chance_is_never_0_or_100() -> None:
    assert wording.probability(0.0) == "under 1\u202f%"
    assert wording.probability(0.999) == "over 99\u202f%"
    assert wording.probability(0.245) == "24\u202f%"


def test_a_small_p_is_said_to_be_under_a_thousandth() -> None:
    assert wording.p_value(0.0002) == "under 0.001"
    assert wording.p_value(0.0401) == "0.040"


def test_counts_get_commas_and_short_ones_a_letter() -> None:
    assert wording.count(4000) == "4,000"
    assert wording.short(99_999) == "99,999"
    assert wording.short(128_400) == "128 k"
    assert wording.short(1_340_000) == "1.3 M"


def test_microseconds_become_seconds() -> None:
    assert wording.seconds(2_460_000) == "2.46"
    assert wording.seconds(None) == "–"


def test_a_duration_is_said_in_its_own_size() -> None:
    assert [wording.duration(s) for s in (0.42, 12, 190, 4800, 130_000)] == [
        "0.4 s",
        "12 s",
        "3 min",
        "1 h 20 min",
        "1.5 days",
    ]


def test_a_moment_is_shown_in_the_persons_zone_and_marked_up_in_utc() -> None:
    moment = datetime(timezone.now().year, 11, 22, 7, 24, 39, tzinfo=UTC)

    with timezone.override("Europe/Berlin"):
        shown = filters.moment(moment, "second")

    assert shown == f'<time datetime="{moment.year}-11-22T07:24:39Z">Nov 22 08:24:39</time>'


def test_a_moment_of_another_year_names_it_and_one_out_of_json_is_read() -> None:
    assert "Jan 2, 2019" in filters.moment("2019-01-02T03:04:05+00:00", "day")
    assert filters.moment("not a time") == "–"


def test_relative_words_stand_only_under_a_day() -> None:
    near, far = timezone.now() - timedelta(hours=2), timezone.now() - timedelta(days=3)

    assert "hours" in filters.ago(near)
    assert "title=" in filters.ago(near)
    assert "ago" not in filters.ago(far)


def test_what_is_missing_says_why_and_what_is_known_passes() -> None:
    assert filters.dash("–", "no price known") == '<span title="no price known">–</span>'
    assert filters.dash(None, '"><script>') == '<span title="&quot;&gt;&lt;script&gt;">–</span>'
    assert filters.dash("3.20", "no price known") == "3.20"


def test_a_query_keeps_the_other_filters() -> None:
    request = RequestFactory().get("/", {"model": "a b", "after": "7", "status": "ok"})
    template = Template("{% query after='' status='failed' as url %}{{ url|safe }}")

    assert template.render(Context({"request": request})) == "?model=a+b&status=failed"


@pytest.mark.parametrize(
    ("names", "said"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b, c", "d"], "a, “b, c” and d")],
)
def test_names_are_listed_and_quoted_where_they_hold_a_comma(names: list[str], said: str) -> None:
    assert wording.listed(names) == said
