"""``GET /v1/categories``: the tree that a shop's menu is made of."""

from actors.storage.categories import Categories
from schemas.goods import Category, Words
from schemas.http.catalogue import Titles
from schemas.http.goods import CategoryNode, CategoryTree
from serve.answers import Reply, encode, problem_reply
from serve.pages import Pages
from serve.requests import Request

PATH = "/v1/categories"


class CategoryTreePage:
    """One a replica."""

    def __init__(self, categories: Categories, pages: Pages) -> None:
        self._categories = categories
        self._pages = pages

    async def reply(self, request: Request) -> Reply:
        """The tree, in both languages."""
        if request.scope.get("query_string"):
            return problem_reply("invalid_request", {"reason": "the list takes no query"}, language=request.language)

        async def make() -> bytes:
            return encode(CategoryTree(categories=nodes(list((await self._categories.tree()).values()), "")))

        return await self._pages.reply(request, "categories", "not_found", make)


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
