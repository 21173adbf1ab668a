"""How long the stock lasts."""


def days_left(quantity: int, sold_per_day: float) -> float:
    return quantity / sold_per_day
