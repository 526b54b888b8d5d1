"""A member of the staff who works with pages, and goods for them to look at."""

import secrets
from typing import Any

from actors.storage.goods import By, Edit, Goods
from schemas.goods import Image, Option, OptionValue, Price, Product, ProductText, ProductTexts, Sku, Words
from tests.api.staff_people import MACHINE_ACTOR

PASSWORD = "correct horse battery staple"


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
