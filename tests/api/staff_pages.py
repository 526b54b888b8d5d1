"""A member of the staff who works with pages, the browser of that, and goods to look at."""

import re
import secrets
from typing import Any
from urllib.parse import urlencode

from actors.storage.goods import By, Edit, Goods
from schemas.goods import Image, Option, OptionValue, Price, Product, ProductText, ProductTexts, Sku, Words
from tests.api.staff_people import MACHINE_ACTOR

PASSWORD = "correct horse battery staple"
PAGE = {"Accept": "text/html,application/xhtml+xml"}
KEY = "k" * 24


class Browser:
    """Cookies, pages and forms, as a browser sends them."""

    def __init__(self, shop: Any, language: str = "en") -> None:
        self.shop, self.language = shop, language
        self.cookies: dict[str, tuple[str, str]] = {}

    async def ask(self, method: str, path: str, form: dict[str, str] | None = None, **more: str) -> Any:
        sent = {name: value for name, (value, under) in self.cookies.items() if path.startswith(under)}
        headers = {**PAGE, "Accept-Language": self.language, "Cookie": "; ".join(f"{name}={value}" for name, value in sent.items()), **more}
        body = None
        if form is not None:
            body = urlencode(form).encode()
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
            headers.setdefault("Origin", self.shop.base)
        answer = await self.shop.ask(method, path, body, headers=headers, key=None)
        for text in answer.headers.getall("set-cookie", []):
            name, value = text.partition(";")[0].split("=", 1)
            self.cookies[name] = (value, re.search(r"Path=([^;]*)", text)[1])
            if "Max-Age=0" in text:
                del self.cookies[name]
        return answer

    async def get(self, path: str, **more: str) -> Any:
        """A page, wherever it sends one on to."""
        answer = await self.ask("GET", path, **more)
        for _ in range(4):
            if answer.status != 303:
                break
            answer = await self.ask("GET", answer.headers["location"])
        return answer

    async def log_in(self, email: str, **more: str) -> Any:
        return await self.ask("POST", "/staff/login", {"name": email, "password": PASSWORD, "key": secrets.token_hex(12), **more})


async def inside(shop: Any, *roles: str, language: str = "en") -> Browser:
    found = Browser(shop, language)
    answer = await found.log_in(await employee(shop, *roles))
    assert (answer.status, answer.headers["location"]) == (303, "/staff")
    return found


async def employee(shop: Any, *roles: str) -> str:
    """Somebody with a password and these roles; answers the e-mail address."""
    email = f"li.{secrets.token_hex(6)}@example.com"
    user_id = (await shop.register({"email": email, "password": PASSWORD}))["user_id"]
    for role in roles:
        await shop.application.desk.roles.grant(MACHINE_ACTOR, user_id, role, "", "a test")
    return email


def document(image_id: str = "") -> Product:
    """A product with everything that a page shows; its texts try to break out of it."""
    number = secrets.token_hex(4)
    titles = ProductText(title=f"Cup <b>{number}</b> & co", subtitle="holds tea", detail="<p>One</p><p>Two</p>", keywords=("cup", "tea"))
    colour = Option(
        option_id="color", titles=Words(en="Colour", zh="颜色"),
        values=tuple(OptionValue(value_id=name, titles=Words(en=name, zh=zh)) for name, zh in (("red", "红"), ("blue", "蓝"))),
    )  # fmt: skip
    skus = tuple(
        Sku(
            code=f"{number}-{value}", choice={"color": value}, weight_g=300,
            prices=(Price(currency="CNY", amount=1999), Price(kind="tier", currency="CNY", amount=1799, min_quantity=10)),
        )
        for value in ("red", "blue")
    )  # fmt: skip
    images = (Image(image_id=image_id, alt=Words(en="A cup", zh="杯子")),) if image_id else ()
    texts = ProductTexts(en=titles, zh=ProductText(title=f"杯子 {number}", detail="<p>一</p>"))
    return Product(code=number, texts=texts, options=(colour,), skus=skus, images=images)


async def write(shop: Any, doc: Product, product_id: str = "", reason: str = "") -> str:
    """Write a document as a new revision; answers the product's id."""
    async with shop.pool.acquire() as connection, connection.transaction():
        by = By(actor_id="usr_test", role="operator", reason=reason)
        [written] = await Goods(shop.pool).write_many(connection, [Edit(doc=doc, product_id=product_id)], by, shop.clock.now_ms())
    return str(written.product_id)
