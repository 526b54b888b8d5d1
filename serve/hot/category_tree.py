"""``GET /v1/categories``: the tree that a shop's menu is made of."""

from collections.abc import Awaitable

from actors.storage.categories import Categories
from schemas.goods import Category, Words
from schemas.http.catalogue import Titles
from schemas.http.goods import CategoryNode, CategoryTree
from serve.answers import Reply, encode
from serve.pages import Content, Pages
from serve.requests import Refusal, Request

PATH = "/v1/categories"


class CategoryTreePage:
    """One a replica."""

    def __init__(self, categories: Categories, pages: Pages) -> None:
        self._categories = categories
        self._pages = pages

    def begin(self, request: Request) -> Reply | Awaitable[Reply]:
        """The tree, in both languages. Refusal for a query."""
        if request.scope.get("query_string"):
            raise Refusal("invalid_request", {"reason": "the list takes no query"})

        async def make() -> Content:
            tree = CategoryTree(categories=nodes(list((await self._categories.tree()).values()), ""))
            return Content(encode(tree), topics=frozenset(("names",)))

        return self._pages.begin(request, PATH, make)


def nodes(categories: list[Category], parent_id: str) -> tuple[CategoryNode, ...]:
    """The categories that are shown below one of them, each with those below it; what stands below a hidden one is hidden with it."""
    return tuple(
        CategoryNode(
            category_id=category.category_id,
            titles=_titles(category.titles),
            slug=category.slug,
            children=nodes(categories, category.category_id),
        )
        for category in categories
        if category.parent_id == parent_id and category.shown
    )


def _titles(words: Words) -> Titles:
    """Each language's words, and the other's where it has none."""
    return Titles(en=words.en or words.zh, zh=words.zh or words.en)
