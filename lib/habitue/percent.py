"""Shares as texts, written one way wherever a person reads them."""


def percent(share: float, digits: int = 1) -> str:
    """A share of 0-1 in percent: .137 is "13.7 %"."""
    return f"{100 * share:.{digits}f} %"
