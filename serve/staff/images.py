"""Pictures from staff and merchants: bytes in, drawn anew by a process of its own, kept under the name of what is seen."""

from typing import Any, Final

from litestar import post

from actors.adapters.images.decoding import ImageRefused
from schemas.http.images import ImageSeen, ImageSize
from schemas.images import WIDTHS, ImageRow
from serve.framework import ShopRequest
from serve.requests import Refusal
from serve.staff.doing import refusing


def seen(row: ImageRow) -> ImageSeen:
    """A picture with the addresses of its sizes: those below its own width, and its own."""
    own = next((width for width in WIDTHS if width >= row.width), WIDTHS[-1])
    sizes = []
    for name in (width for width in WIDTHS if width <= own):
        width = min(name, row.width)
        address = f"/media/{row.image_id}/{name}"
        height = max(1, round(row.height * width / row.width))
        sizes.append(ImageSize(width=width, height=height, webp=f"{address}.webp", jpeg=f"{address}.jpg"))
    return ImageSeen(image_id=row.image_id, width=row.width, height=row.height, colour=row.colour, sizes=tuple(sizes))


async def keep(request: ShopRequest, data: bytes) -> ImageRow:
    """Decode and keep what somebody of the staff sent. Refusal ``image_...``."""
    desk = request.desk
    try:
        picture = await desk.decoder.decode(data)
    except ImageRefused as refused:
        raise Refusal(refused.code, refused.params) from None
    with refusing():
        return await desk.images.add(
            request.actor(), picture, source_bytes=len(data), at_ms=desk.clock.now_ms(), request_id=request.head.id.decode()
        )


@post("/v1/staff/images", operation_id="addImage")
async def add_image(request: ShopRequest) -> ImageSeen:
    """Keep a picture of the shop. The same one again is the same id."""
    return seen(await keep(request, await request.body()))


@post("/v1/merchant/images", operation_id="addMerchantImage")
async def add_merchant_image(request: ShopRequest) -> ImageSeen:
    """Keep a picture of one's own firm. The same one again is the same id."""
    return seen(await keep(request, await request.body()))


HANDLERS: Final[list[Any]] = [add_image, add_merchant_image]
