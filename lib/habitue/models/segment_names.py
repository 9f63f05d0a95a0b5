"""Names for segments, by rules over their own figures against the shop's; unique, and kept from snapshot to snapshot."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count

# A segment's figure against the shop's (the time since its last order: against its cycle): so far off is worth a word.
FREQUENT, RARE = 1.5, 0.5
LARGE, SMALL = 1.3, 0.75
LAPSED, RECENT = 2.0, 0.4
PACES = {
    1: "daily",
    3: "twice a week",
    7: "weekly",
    14: "fortnightly",
    30: "monthly",
    60: "every two months",
    90: "quarterly",
    180: "half-yearly",
    365: "yearly",
}


@dataclass(frozen=True)
class Profile:
    """What a name is made from. Rates and values of a segment, or of the whole shop; None where unknown.

    purchase_days_per_month: mean. order_value: mean a purchase day. days_since: median days since the last order.
    purchase_days: median so far. cycle_days: the purchase cycle.
    """

    purchase_days_per_month: float
    order_value: float | None
    days_since: float
    purchase_days: float
    cycle_days: float | None


def segment_names(profiles: Mapping[int, Profile], shop: Profile, earlier: Mapping[int, str]) -> dict[int, str]:
    """A name per segment id. earlier: of every id that was ever named, whether or not it is still there.

    A segment that had a name keeps it. A new name is one that no other id ever had: who reads a name in two snapshots
    reads of one segment.
    """
    names = {segment: earlier[segment] for segment in profiles if segment in earlier}
    options = {segment: _candidates(profiles[segment], shop) for segment in sorted(set(profiles) - set(names))}
    for segment, name in _told_apart(options, set(earlier.values())).items():
        names[segment] = _unused(name, {*names.values(), *earlier.values()})
    return names


def _told_apart(options: Mapping[int, Sequence[str]], taken: set[str]) -> dict[int, str]:
    """The plainest name of each that clashes with no other. Two that clash both get a more particular one: neither has
    the better claim to the plain name."""
    level = dict.fromkeys(options, 0)
    while True:
        names = {segment: several[level[segment]] for segment, several in options.items()}
        given = Counter([*names.values(), *taken])
        clashing = [s for s, name in names.items() if given[name] > 1 and level[s] + 1 < len(options[s])]
        if not clashing:
            return names
        for segment in clashing:
            level[segment] += 1


def _candidates(profile: Profile, shop: Profile) -> Sequence[str]:
    """Names from the plainest to the most particular."""
    parts = [_frequency(profile, shop), *_recency(profile, shop)]
    plain = ", ".join(parts)
    with_value = ", ".join([*parts, *_value(profile, shop)])
    pace = f", about {_pace(profile.cycle_days)}" if profile.cycle_days else ""
    cycle = f" (every {profile.cycle_days:.0f} days)" if profile.cycle_days else ""
    days = f" ({profile.days_since:.0f} days since the last order)"
    return [plain, with_value, plain + pace, with_value + pace, with_value + cycle, with_value + days]


def _pace(cycle_days: float) -> str:
    """The word of the nearest pace: as it is coarse, it stays true when the cycle drifts a little."""
    nearest = min(PACES, key=lambda days: abs(math.log(days / cycle_days)))
    return PACES[nearest]


def _frequency(profile: Profile, shop: Profile) -> str:
    if profile.purchase_days <= 1:
        return "One-time buyers"
    ratio = profile.purchase_days_per_month / shop.purchase_days_per_month if shop.purchase_days_per_month else 1.0
    if ratio >= FREQUENT:
        return "Frequent buyers"
    return "Occasional buyers" if ratio <= RARE else "Steady buyers"


def _recency(profile: Profile, shop: Profile) -> list[str]:
    """How long ago the last order is, against the segment's own cycle; against the shop's where it has none."""
    usual = profile.cycle_days or shop.cycle_days or shop.days_since
    ratio = profile.days_since / usual if usual else 1.0
    if ratio >= LAPSED:
        return ["long absent"]
    return ["lately here"] if ratio <= RECENT else []


def _value(profile: Profile, shop: Profile) -> list[str]:
    if not profile.order_value or not shop.order_value:
        return []
    ratio = profile.order_value / shop.order_value
    if ratio >= LARGE:
        return ["large orders"]
    return ["small orders"] if ratio <= SMALL else ["medium orders"]


def _unused(name: str, taken: set[str]) -> str:
    """The name, or, where it is taken even so, the name with the first free number from 2 on."""
    numbered = (name if number == 1 else f"{name} {number}" for number in count(1))
    return next(option for option in numbered if option not in taken)
