"""Names: by rules over a segment's own figures, different from all others, and kept."""

from __future__ import annotations

import pytest

from habitue.models.segment_names import Profile, segment_names

SHOP = Profile(purchase_days_per_month=2.0, order_value=40.0, days_since=20, purchase_days=8, cycle_days=14)


def profile(
    rate: float = 2.0, value: float | None = 40.0, since: float = 14, days: float = 8, cycle: float | None = 14
):
    return Profile(rate, value, since, days, cycle)


def name(one: Profile) -> str:
    return segment_names({1: one}, SHOP, {})[1]


@pytest.mark.parametrize(
    ("rate", "said"),
    [(3.0, "Frequent buyers"), (2.9, "Steady buyers"), (1.1, "Steady buyers"), (1.0, "Occasional buyers")],
)
def test_frequency_is_against_the_shops(rate: float, said: str) -> None:
    assert name(profile(rate)) == said


def test_absence_is_against_the_groups_own_cycle() -> None:
    """60 days are long for a fortnightly buyer, and nothing for one who comes every two months."""
    assert name(profile(since=60, cycle=14)) == "Steady buyers, long absent"
    assert name(profile(since=60, cycle=60)) == "Steady buyers"
    assert name(profile(since=5, cycle=14)) == "Steady buyers, lately here"


def test_without_a_cycle_absence_is_against_the_shops() -> None:
    assert name(profile(days=1, cycle=None, since=28)) == "One-time buyers, long absent"
    nothing = Profile(0.5, None, 100, 1, None)
    assert segment_names({1: nothing}, nothing, {}) == {1: "One-time buyers"}


def test_two_that_the_same_words_fit_both_say_more() -> None:
    names = segment_names({1: profile(value=20), 2: profile(value=60), 3: profile(rate=4)}, SHOP, {})
    assert names == {1: "Steady buyers, small orders", 2: "Steady buyers, large orders", 3: "Frequent buyers"}


def test_words_that_fit_both_are_passed_over_for_the_pace() -> None:
    """27 days are nearest to a month (a factor 1.1), 9 to a week (1.3, against 1.6 to a fortnight)."""
    names = segment_names({1: profile(cycle=27, since=27), 2: profile(cycle=9, since=9)}, SHOP, {})
    assert names == {1: "Steady buyers, about monthly", 2: "Steady buyers, about weekly"}


def test_names_differ_whatever_the_figures() -> None:
    alike = {s: profile(value=20) for s in range(1, 5)}
    names = segment_names({**alike, 5: profile(value=20, cycle=15), 6: profile(value=None)}, SHOP, {})
    assert len(set(names.values())) == 6
    dates_only = segment_names({s: profile(value=None) for s in range(3)}, SHOP, {})
    assert len(set(dates_only.values())) == 3


def test_a_name_is_kept_when_the_figures_change() -> None:
    """Segment 1 has become frequent; 4 is new and must not take the name of 2, which it would fit and which is gone."""
    earlier = {1: "Occasional buyers", 2: "Steady buyers"}
    names = segment_names({1: profile(rate=5), 4: profile()}, SHOP, earlier)
    assert names == {1: "Occasional buyers", 4: "Steady buyers, medium orders"}


def test_a_segment_that_comes_back_has_its_name_again() -> None:
    """Segment 2 was gone for some snapshots, in which 4 got a name of its own; an older model brings 2 back."""
    earlier = {1: "Occasional buyers", 2: "Steady buyers", 4: "Steady buyers, medium orders"}
    assert segment_names({2: profile(rate=5), 4: profile()}, SHOP, earlier) == {
        2: "Steady buyers",
        4: "Steady buyers, medium orders",
    }


def test_names_do_not_depend_on_the_order_of_the_segments() -> None:
    several = {1: profile(value=20), 2: profile(), 3: profile(value=20), 4: profile(rate=4)}
    assert segment_names(dict(reversed(several.items())), SHOP, {}) == segment_names(several, SHOP, {})
