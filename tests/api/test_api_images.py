"""Pictures: what is taken and what is not, who may bring them, and how they are served."""

import asyncio
import hashlib
import io

import pytest
from PIL import Image

from actors.storage.media import Media
from serve.answers import Reply
from serve.hot.media import MediaPages
from serve.requests import Refusal, Request
from serve.uploads import UPLOADS, Upload, UploadRoom
from tests.api.staff_people import firm, member
from tests.images.image_files import REFUSED, encoded, gradient, located

pytestmark = pytest.mark.asyncio(loop_scope="session")

WORDS = (b"EVIL", b"SECRET", b"PK\x03\x04", b"<script", b"Exif")


async def sent(shop, bearer: str, data: bytes, path: str = "/v1/staff/images", media: str = "image/jpeg"):
    return await shop.ask("POST", path, data, token=bearer, headers={"Content-Type": media})


@pytest.mark.slow
async def test_a_picture_is_taken_or_refused_whatever_its_sender_says_of_it(shop) -> None:
    _, bearer = await member(shop, "marketing")
    before = await shop.pool.fetchval("SELECT count(*) FROM image")
    for name in ("50,000 by 50,000", "10,000 frames", "cut off", "svg"):
        data, code = REFUSED[name]
        answer = await shop.ask(
            "POST", "/v1/staff/images", data, token=bearer, headers={"Content-Type": "image/png", "Accept-Language": "zh"}
        )
        assert (answer.status, answer.code) == (422, code), name
        assert not answer.json["title"].isascii()
        assert "?" not in answer.json["title"]
    assert await shop.pool.fetchval("SELECT count(*) FROM image") == before
    answer = await sent(shop, bearer, located(), media="text/html")
    assert (answer.status, answer.json["width"], answer.json["height"]) == (201, 320, 640)
    assert [(size["width"], size["height"]) for size in answer.json["sizes"]] == [(160, 320), (320, 640)]
    for size in answer.json["sizes"]:
        for kind in ("webp", "jpeg"):
            shown = await shop.ask("GET", size[kind])
            assert (shown.status, shown.headers["content-type"]) == (200, f"image/{kind}")
            assert not [word for word in WORDS if word in shown.body]
            with Image.open(io.BytesIO(shown.body)) as drawn:
                assert drawn.size == (size["width"], size["height"])


@pytest.mark.slow
async def test_the_same_picture_is_one_whoever_sends_it_and_however_often_at_once(shop) -> None:
    (one, bearer), (two, rival) = await member(shop, "marketing"), await member(shop, "merchant", merchant_id=await firm(shop))
    data = located(7)
    answers = await asyncio.gather(
        *(sent(shop, bearer, data) for _ in range(3)), *(sent(shop, rival, data, "/v1/merchant/images") for _ in range(2))
    )
    assert {answer.status for answer in answers} == {201}
    [image_id] = {answer.json["image_id"] for answer in answers}
    assert await shop.pool.fetchval("SELECT count(*) FROM image WHERE image_id = $1", image_id) == 1
    trail = await shop.pool.fetch("SELECT actor_id, state FROM staff_action WHERE permission = 'image.add' AND target = $1", image_id)
    assert sorted(row["actor_id"] for row in trail) == sorted([one] * 3 + [two] * 2)
    # As another kind of file it is the same picture as well, where nothing is lost.
    same = Image.new("RGB", (40, 40), (1, 2, 3))
    assert (await sent(shop, bearer, encoded(same, "PNG"))).json == (await sent(shop, bearer, encoded(same, "WEBP", lossless=True))).json


async def test_uploads_are_read_from_those_alone_who_may_and_no_further_than_they_may(shop) -> None:
    _, customer = shop.user()
    _, support = await member(shop, "support")
    _, bearer = await member(shop, "marketing")
    large = b"x" * 100_000

    for path in ("/v1/staff/images", "/v1/merchant/images"):
        assert (await shop.ask("POST", path, large)).code == "unauthenticated"
        assert (await shop.ask("POST", path, large, token=customer)).code == "forbidden"
        assert (await shop.ask("POST", path, large, token=support)).code == "forbidden"
        headers = {"Authorization": f"Bearer {bearer}", "Idempotency-Key": "k" * 12}
        async with shop.session.post(shop.base + path, data=io.BytesIO(large * 250), headers=headers) as answer:
            assert (answer.status, (await answer.json(content_type=None))["code"]) == (413, "body_too_large")
        assert (await shop.ask("POST", path, large, token=bearer)).code == "image_format"
    # Nothing else takes as much.
    assert (await shop.ask("POST", "/v1/staff/imagesx", large, token=bearer)).code == "body_too_large"
    assert (await shop.ask("PUT", "/v1/staff/images", large, token=bearer)).code == "body_too_large"


async def test_a_replica_holds_so_many_bytes_of_uploads_and_no_more() -> None:
    def request(**headers: bytes) -> Request:
        scope = {"method": "POST", "path": "/", "headers": [(name.replace("_", "-").encode(), value) for name, value in headers.items()]}
        return Request(scope, b"1")

    room, upload = UploadRoom(100), Upload("x", 60)
    with room.taken(request(content_length=b"70"), upload), room.taken(request(content_length=b"40"), upload):
        assert room.held == 100
        with pytest.raises(Refusal, match="busy"), room.taken(request(content_length=b"1"), upload):
            pass
    with room.taken(request(), upload):
        assert room.held == 60
        with pytest.raises(Refusal, match="busy"), room.taken(request(), upload):
            pass
    assert room.held == 0
    assert all("{" not in path for path in UPLOADS)


# --- serving -------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_picture_is_kept_for_a_year_and_runs_nothing(shop) -> None:
    _, bearer = await member(shop, "marketing")
    image_id = (await sent(shop, bearer, encoded(gradient(300, 200), "PNG"))).json["image_id"]
    for width, name, kind in ((160, "webp", "image/webp"), (160, "jpg", "image/jpeg"), (1600, "webp", "image/webp")):
        path = f"/media/{image_id}/{width}.{name}"
        answer = await shop.ask("GET", path)
        assert answer.status == 200
        assert answer.headers["content-type"] == kind
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers.getall("content-security-policy") == ["default-src 'none'; sandbox; frame-ancestors 'none'"]
        assert "set-cookie" not in answer.headers
        with Image.open(io.BytesIO(answer.body)) as drawn:
            assert drawn.width == min(width, 300)
        again = await shop.ask("GET", path, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", answer.headers["etag"])
        other = await shop.ask("GET", path, headers={"If-None-Match": '"other"'})
        assert other.status == 200
        head = await shop.ask("HEAD", path)
        assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(answer.body)))
        assert (await shop.ask("DELETE", path)).code == "method_not_allowed"


@pytest.mark.slow
async def test_no_name_but_ours_leads_anywhere(shop) -> None:
    _, bearer = await member(shop, "marketing")
    image_id = (await sent(shop, bearer, encoded(gradient(301, 200), "PNG"))).json["image_id"]
    good = f"/media/{image_id}/160.webp"
    assert (await shop.ask("GET", good)).status == 200
    reader, writer = None, None
    tried = [
        "/media/", "/media", f"/media/{image_id}", f"/media/{image_id}/", f"/media/{image_id}/161.webp", f"/media/{image_id}/160.png",
        f"/media/{image_id}/160.webp/", f"/media/{image_id}/0160.webp", f"/media/{image_id}/160.WEBP",
        f"/media/{image_id.upper()}/160.webp",
        f"/media/{image_id}/..%2f{image_id}/160.webp", "/media/..%2f..%2f..%2fetc%2fpasswd", "/media/%2e%2e/%2e%2e/etc/passwd",
        "/media/../../../etc/passwd", "/media//etc/passwd", "/media/%252e%252e%252fetc/passwd", f"/media/{image_id}/160.webp%00",
        f"/media/{image_id}%00/160.webp", f"/media/{image_id}/160.webp%0a", f"/media/{image_id}/160%2ewebp",
        f"/media/%69mg_{image_id[4:]}/160.webp",
        f"/media/{image_id}/%EF%BC%91%EF%BC%96%EF%BC%90.webp", f"/media/{image_id}/160.webp;x", f"/media/{image_id}\\160.webp",
        "/media/..%5c..%5cwindows/160.webp", "/media/%c0%ae%c0%ae/160.webp", f"/media/img_{'0' * 20}/160.webp", "/media/img_../160.webp",
        f"/media/./{image_id}/160.webp", f"/%6dedia/{image_id}/161.webp", f"/media/{image_id}/160.jpg.webp",
    ]  # fmt: skip
    port = int(shop.base.rpartition(":")[2])
    for path in tried:
        # By hand: a client would tidy the path up first.
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 404 "), (path, answer[:200])
        assert b"no-store" in answer, path


async def test_a_replica_keeps_pictures_within_a_bound_of_bytes(tmp_path) -> None:
    media = Media(tmp_path)
    names = [f"img_{number:020d}" for number in range(4)]
    for name in names:
        media.folder(name).mkdir(parents=True)
        (media.folder(name) / "160.webp").write_bytes(name.encode() * 10)
    pages = MediaPages(media, kept_bytes_max=3 * 240)

    async def ask(name: str) -> Reply:
        return await pages.reply(Request({"method": "GET", "path": f"/media/{name}/480.webp", "headers": []}, b"1"))

    for name in names[:3]:
        assert (await ask(name)).body == name.encode() * 10
    assert pages.kept_bytes == 720
    await ask(names[0])
    await asyncio.gather(*(ask(names[3]) for _ in range(5)))
    assert pages.kept_bytes == 720
    for name in names:
        (media.folder(name) / "160.webp").unlink()
    found = [name for name in names if await answered(ask(name))]
    assert found == [names[0], names[2], names[3]]
    assert hashlib.blake2b((await ask(names[0])).body, digest_size=12).hexdigest().encode() in dict((await ask(names[0])).headers)[b"etag"]


async def answered(asking) -> bool:
    try:
        await asking
    except Refusal:
        return False
    return True
