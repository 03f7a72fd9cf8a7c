"""What the tools patch; each case gets a copy of this module of its own."""

from typing import Any

LOG: list[str] = []


def function(x: Any) -> Any:
    return x


async def coroutine(x: Any) -> Any:
    return x


class Base:
    def method(self, x: Any) -> Any:
        return x

    @classmethod
    def of_class(cls, x: Any) -> Any:
        return x

    @staticmethod
    def static(x: Any) -> Any:
        return x

    @property
    def value(self) -> int:
        return 7


class Inheriting(Base):
    pass


c_function = len
alias = function
table = {"function": function}
