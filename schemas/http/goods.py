"""Products, categories and brands as staff and merchants edit them over HTTP, and the tree of categories that everybody sees."""

from typing import Annotated, Any

import msgspec

from schemas.goods import Brand, Category, Code, Option, Product, Sku, State, TimeMs
from schemas.http.catalogue import Titles

Reason = Annotated[str, msgspec.Meta(max_length=500, description="why, for the revision and the trail")]
RevisionNumber = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class _Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client may send: nothing else than these fields."""


class NewProduct(_Asked, frozen=True, kw_only=True):
    """A product to make."""

    document: Product
    reason: Reason = ""


class ChangedProduct(_Asked, frozen=True, kw_only=True):
    """The whole document as it is to be. ``expected_revision``: the one that was edited; another one in between is a conflict."""

    document: Product
    expected_revision: RevisionNumber
    reason: Reason = ""


class MovedProduct(_Asked, frozen=True, kw_only=True):
    """Where a product goes. The times as in its document."""

    state: State
    expected_revision: RevisionNumber
    shelf_at_ms: TimeMs = 0
    off_at_ms: TimeMs = 0
    reason: Reason = ""


class RevertedProduct(_Asked, frozen=True, kw_only=True):
    """The revision whose document is to be written anew. The state stays; a retired product comes back off the shelf."""

    revision: RevisionNumber
    expected_revision: RevisionNumber
    reason: Reason = ""


class MatrixAsked(_Asked, frozen=True, kw_only=True):
    """Options, and the SKUs that are there already; ``code`` begins the codes of the others."""

    code: Code
    options: Annotated[tuple[Option, ...], msgspec.Meta(max_length=4)]
    skus: Annotated[tuple[Sku, ...], msgspec.Meta(max_length=500)] = ()


class MatrixSku(msgspec.Struct, frozen=True, kw_only=True):
    """One combination. ``sku_id``: of the SKU that has it already, else empty."""

    code: str
    choice: dict[str, str]
    sku_id: str = ""


class Matrix(msgspec.Struct, frozen=True, kw_only=True):
    """Every combination of the options, the last option changing fastest."""

    skus: tuple[MatrixSku, ...]


class ProductDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A product as it stands.

    ``removed``: of what was sent, the texts of which HTML that is not allowed was taken out. ``changed``: false where nothing was.
    """

    product_id: str
    revision: int
    document: Product
    changed: bool = True
    removed: tuple[str, ...] = ()


class ListedProduct(msgspec.Struct, frozen=True, kw_only=True):
    """A product in a list of the staff. Times in UTC, ms; 0: none."""

    product_id: str
    code: str | None
    state: State
    shelf_at_ms: int
    off_at_ms: int
    merchant_id: str | None
    category_id: str | None
    brand_id: str | None
    titles: Titles
    tags: tuple[str, ...]
    revision: int
    skus: int


class ListedProducts(msgspec.Struct, frozen=True, kw_only=True):
    """One page; ``next_cursor`` is null on the last."""

    products: tuple[ListedProduct, ...]
    next_cursor: str | None


class ProductRevision(msgspec.Struct, frozen=True, kw_only=True):
    """Who wrote a document, when and why. ``document`` is null in lists."""

    revision: int
    at: str
    actor_id: str
    role: str
    reason: str
    state: str
    document: Product | None = None


class ProductRevisions(msgspec.Struct, frozen=True, kw_only=True):
    """One page, the newest first; ``next_cursor`` is null on the last."""

    revisions: tuple[ProductRevision, ...]
    next_cursor: str | None


class FieldChange(msgspec.Struct, frozen=True, kw_only=True):
    """One field; null where it was not there. SKUs are named by their codes, options and values by their ids."""

    path: str
    old: Any
    new: Any


class ProductChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What is different between two revisions."""

    product_id: str
    from_revision: int
    to_revision: int
    changes: tuple[FieldChange, ...]


class PutCategory(_Asked, frozen=True, kw_only=True):
    """A category as it is to be; its id is the path's."""

    category: Category
    reason: Reason = ""


class Categories(msgspec.Struct, frozen=True, kw_only=True):
    """Every category, in the order in which they are shown; ``parent_id`` makes the tree."""

    categories: tuple[Category, ...]


class PutBrand(_Asked, frozen=True, kw_only=True):
    """A brand as it is to be; its id is the path's."""

    brand: Brand
    reason: Reason = ""


class Brands(msgspec.Struct, frozen=True, kw_only=True):
    """One page; ``next_cursor`` is null on the last."""

    brands: tuple[Brand, ...]
    next_cursor: str | None


class CategoryNode(msgspec.Struct, frozen=True, kw_only=True):
    """A category with those below it, as shoppers see them."""

    category_id: str
    titles: Titles
    slug: str
    children: tuple["CategoryNode", ...] = ()


class CategoryTree(msgspec.Struct, frozen=True, kw_only=True):
    """The tree of categories that are shown."""

    categories: tuple[CategoryNode, ...]
