"""Whether a claimed lift ratio holds in a shop: shown by the interval, impossible by the base rate, or not shown."""

from __future__ import annotations

from habitue.models.lift import Evaluation
from habitue.percent import percent

MET, CANNOT, NOT_SHOWN = "met", "cannot hold here", "not shown"


def claim(found: Evaluation, claimed: float) -> str:
    """MET only where the interval's lower limit reaches the claim; CANNOT where even a perfect ranking would not."""
    if found.lift_ceiling is not None and found.lift_ceiling < claimed:
        return CANNOT
    if found.lift_low is not None and found.lift_low >= claimed:
        return MET
    return NOT_SHOWN


def claim_sentence(found: Evaluation, claimed: float, population: str, horizon_days: int | None, act: str) -> str:
    """The verdict with what it rests on. act: what the positives did, such as "turned loyal"."""
    within = f" within {horizon_days} days" if horizon_days else ""
    rate = f"{percent(found.base_rate or 0)} of {found.customers:,} {population} {act}{within}"
    verdict = {
        MET: f"The claim of {claimed:g} times holds here",
        CANNOT: f"The claim of {claimed:g} times cannot hold here, whatever the model: so many do it anyway",
        NOT_SHOWN: f"The claim of {claimed:g} times is not shown here",
    }[claim(found, claimed)]
    if found.lift_ratio is None:
        return f"{verdict}: {rate}. {found.reason or ''}".strip()
    high = "no upper limit" if found.lift_high is None else f"{found.lift_high:.1f}"
    ceiling = "has no bound" if found.lift_ceiling is None else f"is {found.lift_ceiling:.1f}"
    top = f"{found.top_share * 100:g} %"
    figures = (
        f"the top {top} by score {act} at {found.lift_ratio:.1f} times the rate of the others "
        f"[95 %: {found.lift_low or 0:.1f}, {high}]; the most that is possible at this base rate {ceiling}"
    )
    plain = "" if found.sort_lift_ratio is None else f", and the plain sort reaches {found.sort_lift_ratio:.1f}"
    return f"{verdict}: {rate}; {figures}{plain}."
