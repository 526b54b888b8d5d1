"""A load scenario as data: who does what, how often, for how long, and what must hold afterwards. Pure.

``closed``: a number of customers, each thinking between its actions. ``open``: actions begin at a rate,
whatever the server does. Every file says which of the two it is.
"""

import random
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

FOLDER: Final = Path(__file__).with_name("scenarios")

ADDRESS: Final = {
    "country": "CN",
    "name": "Li Lei",
    "phone": "+8613800138000",
    "line1": "1 Renmin Road",
    "district": "Huangpu",
    "city": "Shanghai",
    "region": "Shanghai",
    "postal_code": "200001",
}
"""Where the customers of the scenarios live."""

Act = Literal["browse", "product", "sale_page", "buy", "buy_again", "cart", "checkout", "pay", "cancel", "read_order", "list_orders"]
"""What a customer can do.

buy: order one piece in the sale. buy_again: repeat the last order under its key, and expect the same one.
cart: put one to four articles. checkout: fill the cart and order it. pay, cancel, read_order: the last order.
"""

Count = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]


class Title(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The scenario in one sentence, in both languages."""

    en: str
    zh: str


class Stage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stretch of the load. ``users`` and ``spawn_per_s`` in a closed one, ``rate_per_s`` in an open one.

    acts: weight of each action.
    """

    seconds: Annotated[float, msgspec.Meta(gt=0)]
    acts: dict[Act, Annotated[int, msgspec.Meta(ge=1)]]
    users: Count = 0
    spawn_per_s: Annotated[float, msgspec.Meta(gt=0)] = 50.0
    rate_per_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class SaleTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The flash sale that is opened for the scenario; price in minor units."""

    stock: Annotated[int, msgspec.Meta(ge=1)]
    limit: Annotated[int, msgspec.Meta(ge=1)] = 1
    price: Annotated[int, msgspec.Meta(ge=1)] = 1999


class Expect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must hold afterwards, beside the books and the comparison with the tables.

    failed_share_max: of all requests; an expected refusal (sold out, purchase limit) is no failure.
    sold: exactly so many orders were accepted in the sale. unpaid_end_s: so soon after the load no order is pending.
    """

    failed_share_max: float = 0.0
    sold: int | None = None
    unpaid_end_s: float | None = None


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file. accounts: customers to seed. think_s: shortest and longest pause of a customer in a closed load."""

    title: Title
    loop: Literal["open", "closed"]
    stages: tuple[Stage, ...]
    accounts: Annotated[int, msgspec.Meta(ge=1)] = 1000
    think_s: tuple[Seconds, Seconds] = (0.5, 1.5)
    sale: SaleTerms | None = None
    settings: dict[str, str] = {}
    expect: Expect = Expect()

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError("a scenario needs a stage")
        for number, stage in enumerate(self.stages, start=1):
            if (stage.rate_per_s > 0) != (self.loop == "open") or (stage.users > 0) != (self.loop == "closed"):
                raise ValueError(f"stage {number}: an open load has rate_per_s, a closed one users")
            if self.sale is None and stage.acts.keys() & {"buy", "sale_page"}:
                raise ValueError(f"stage {number}: buying needs a sale")

    @property
    def seconds(self) -> float:
        """How long the load lasts."""
        return sum(stage.seconds for stage in self.stages)

    def stage_at(self, at_s: float) -> Stage | None:
        """The stage at this many seconds after the start; None after the end."""
        for stage in self.stages:
            if at_s < stage.seconds:
                return stage
            at_s -= stage.seconds
        return None


def choose(stage: Stage, chance: random.Random) -> Act:
    """One of the stage's actions by weight."""
    return chance.choices(list(stage.acts), weights=list(stage.acts.values()))[0]


def load(name: str, folder: Path = FOLDER) -> Scenario:
    """The scenario of this name. FileNotFoundError names those that exist; msgspec.ValidationError says what is wrong in it."""
    file = folder / f"{name}.toml"
    if not file.exists():
        raise FileNotFoundError(f"no scenario {name!r}; there are: {', '.join(names(folder))}")
    return msgspec.toml.decode(file.read_bytes(), type=Scenario)


def names(folder: Path = FOLDER) -> list[str]:
    """The names of all scenarios."""
    return sorted(file.stem for file in folder.glob("*.toml"))
