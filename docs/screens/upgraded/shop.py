"""Somebody else's code, which the pictures are taken of."""

TAX = 0.2


def price(item, *, quantity=1, discount=0):
    return len(item) * quantity * (1 + TAX)


class Checkout:
    def pay(self, account, amount):
        return f"{account} paid {amount}"
