"""The address book, and the places of China by their codes."""

from typing import Annotated, Any, Final

import msgspec
from litestar import Response, delete, get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter

from actors.domain.address import flaw
from actors.domain.regions import located
from actors.storage.addresses import AddressRefused, Kept, SavedAddress
from actors.storage.regions import regions_cn
from schemas.http.addresses import AddressBook, AddressInBook, PutAddress, Region, Regions
from schemas.ids import id_of, is_id
from serve.framework import ShopRequest
from serve.requests import Refusal
from serve.shop.ship_to import trimmed

REGIONS_KEPT_S: Final = 86_400
"""Districts change once a year."""


def _kept(data: PutAddress) -> Kept:
    """The address as the book keeps it. Refusal ``address_invalid``."""
    address = trimmed(data)
    if data.region_code:
        found = located(address, data.region_code, regions_cn().names)
        if isinstance(found, str):
            raise Refusal("address_invalid", {"reason": found})
        address = found
    reason = flaw(address)
    if reason:
        raise Refusal("address_invalid", {"reason": reason})
    return Kept(address=address, region_code=data.region_code)


def _shown(saved: SavedAddress) -> AddressInBook:
    fields = msgspec.structs.asdict(saved.address)
    return AddressInBook(address_id=saved.address_id, region_code=saved.region_code, is_default=saved.is_default, **fields)


async def _read(request: ShopRequest, user_id: str, address_id: str) -> AddressInBook:
    saved = await request.desk.addresses.one(user_id, address_id) if is_id(address_id, "adr") else None
    if saved is None:
        raise Refusal("address_unknown")
    return _shown(saved)


def _refused(refused: AddressRefused) -> Refusal:
    return Refusal(refused.code)


@get("/v1/me/addresses", operation_id="listAddresses")
async def list_addresses(request: ShopRequest) -> AddressBook:
    """One's address book."""
    found = await request.desk.addresses.of_user(request.customer().user_id)
    return AddressBook(addresses=tuple(map(_shown, found)))


@post("/v1/me/addresses", operation_id="addAddress")
async def add_address(request: ShopRequest, data: JSONBody[PutAddress]) -> AddressInBook:
    """Add an address; the first is the default."""
    desk, user_id = request.desk, request.customer().user_id
    command_id, _ = request.command(user_id, "address")
    address_id = id_of("adr", command_id)
    try:
        await desk.addresses.add(user_id, address_id, _kept(data), is_default=data.is_default)
    except AddressRefused as refused:
        raise _refused(refused) from None
    return await _read(request, user_id, address_id)


@get("/v1/me/addresses/{address_id:str}", operation_id="readAddress")
async def read_address(request: ShopRequest, address_id: FromPath[str]) -> AddressInBook:
    """One address of one's book."""
    return await _read(request, request.customer().user_id, address_id)


@put("/v1/me/addresses/{address_id:str}", operation_id="changeAddress")
async def change_address(request: ShopRequest, address_id: FromPath[str], data: JSONBody[PutAddress]) -> AddressInBook:
    """Let an address be another. Orders that went to it keep what they have."""
    user_id = request.customer().user_id
    await _read(request, user_id, address_id)
    try:
        await request.desk.addresses.change(user_id, address_id, _kept(data), is_default=data.is_default)
    except AddressRefused as refused:
        raise _refused(refused) from None
    return await _read(request, user_id, address_id)


@put("/v1/me/addresses/{address_id:str}/default", operation_id="makeAddressDefault")
async def make_default(request: ShopRequest, address_id: FromPath[str]) -> AddressInBook:
    """Let an address be the default, and no other."""
    user_id = request.customer().user_id
    await _read(request, user_id, address_id)
    try:
        await request.desk.addresses.make_default(user_id, address_id)
    except AddressRefused as refused:
        raise _refused(refused) from None
    return await _read(request, user_id, address_id)


@delete("/v1/me/addresses/{address_id:str}", operation_id="removeAddress")
async def remove_address(request: ShopRequest, address_id: FromPath[str]) -> None:
    """Take an address out; when it was the default, the newest of the others is."""
    user_id = request.customer().user_id
    await _read(request, user_id, address_id)
    try:
        await request.desk.addresses.remove(user_id, address_id)
    except AddressRefused as refused:
        raise _refused(refused) from None


@get("/v1/regions/cn", operation_id="listRegions")
async def list_regions(
    request: ShopRequest,
    parent: Annotated[str, QueryParameter(pattern="^([0-9]{2}|[0-9]{4})?$", description="a code; without it, the provinces")] = "",
) -> Response[Regions]:
    """The places that lie in another one, with an ETag: a form asks again only when the table has changed."""
    table = regions_cn()
    codes = table.children.get(parent)
    if codes is None:
        raise Refusal("region_unknown")
    tag = f'"{table.version}-{parent}"'
    headers = {"etag": tag, "cache-control": f"public, max-age={REGIONS_KEPT_S}"}
    given = request.head.headers.get(b"if-none-match", b"").decode("latin-1")
    if tag in (part.strip().removeprefix("W/") for part in given.split(",")):
        return Response(content=None, status_code=304, headers=headers)  # type: ignore[arg-type]
    found = Regions(
        parent=parent, regions=tuple(Region(code=code, name=table.names[code], leaf=code not in table.children) for code in codes)
    )
    return Response(content=found, headers=headers)


HANDLERS: Final[list[Any]] = [
    list_addresses, add_address, read_address, change_address, make_default, remove_address, list_regions,
]  # fmt: skip
