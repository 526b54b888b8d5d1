"""The ``stampede`` command line."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from serve.cli.words import Trouble, say

# Plain help: the rich one takes a quarter of a second to draw.
app: Final = typer.Typer(help=say("app"), no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
sale: Final = typer.Typer(help=say("sale"), no_args_is_help=True, rich_markup_mode=None)
app.add_typer(sale, name="sale")
journal: Final = typer.Typer(help=say("journal"), no_args_is_help=True, rich_markup_mode=None)
app.add_typer(journal, name="journal")
events: Final = typer.Typer(help=say("events"), no_args_is_help=True, rich_markup_mode=None)
app.add_typer(events, name="events")

search: Final = typer.Typer(help=say("search"), no_args_is_help=True, rich_markup_mode=None)
app.add_typer(search, name="search")
member: Final = typer.Typer(help=say("member"), no_args_is_help=True, rich_markup_mode=None)
app.add_typer(member, name="member")
staff: Final = typer.Typer(help=say("staff"), no_args_is_help=True, rich_markup_mode=None)
app.add_typer(staff, name="staff")
privacy: Final = typer.Typer(help=say("privacy"), no_args_is_help=True, rich_markup_mode=None)
app.add_typer(privacy, name="privacy")

goods: Final = typer.Typer(help=say("goods"), no_args_is_help=True, rich_markup_mode=None)
app.add_typer(goods, name="goods")

UserArgument = Annotated[str, typer.Argument(metavar="USER")]
RoleArgument = Annotated[str, typer.Argument(metavar="ROLE")]
KeepDays = Annotated[int | None, typer.Option(min=7, help=say("o_keep_days"))]
AsJson = Annotated[bool, typer.Option("--json", help=say("o_json"))]
HOURS: Final = 1.0
"""Long enough for a bench, whose customers do not refresh."""

WATCH_S: Final = 1.0
WIDTH_MIN: Final = 140
SAGA_LIMIT_MINUTES: Final = 15.0


def main(arguments: list[str] | None = None) -> None:
    """Run the command that was typed (or these arguments). What a person can mend is one sentence, and exit code 1."""
    try:
        app(args=arguments)
    except Trouble as trouble:
        _fail(str(trouble))


def _fail(text: str) -> None:
    typer.secho(text, fg=typer.colors.RED, err=True)
    sys.exit(1)


def _tell(text: str) -> None:
    typer.echo(text, err=True)


def _print(value: Any) -> None:
    import msgspec

    typer.echo(msgspec.json.encode(value).decode())


@app.command(help=say("up"))
def up() -> None:
    from serve.cli.door import environment
    from serve.cli.up import up as run

    raise typer.Exit(run(environment()))


@app.command(help=say("migrate"))
def migrate() -> None:
    from serve.cli.door import environment
    from serve.cli.migrate import migrate as run

    names = run(environment())
    for name in names:
        typer.echo(say("migrated", name=name))
    if not names:
        typer.echo(say("nothing_to_migrate"))


@app.command(help=say("seed"))
def seed(
    shop: Annotated[str | None, typer.Option(help=say("o_shop"))] = None,
    users: Annotated[int, typer.Option(min=0, max=1_000_000, help=say("o_users"))] = 0,
    tokens: Annotated[Path | None, typer.Option(help=say("o_tokens"))] = None,
    hours: Annotated[float, typer.Option(min=0.01, max=720, help=say("o_hours"))] = HOURS,
) -> None:
    from serve.cli.door import environment
    from serve.cli.seed import seed_shop, seed_users

    if shop is None and not users:
        raise Trouble("nothing_to_seed")
    if users and tokens is None:
        raise Trouble("tokens_missing")
    settings = environment()
    if shop is not None:
        count = seed_shop(settings, shop, _tell)
        typer.echo(say("shop_there") if count is None else say("shop_loaded", shop=shop, count=count))
    if users and tokens is not None:
        seed_users(settings, users, tokens, hours, _tell)
        typer.echo(say("tokens_written", count=users, file=tokens, hours=f"{hours:g}"))


@sale.command("create", help=say("sale_create"))
def sale_create(
    sku: Annotated[str | None, typer.Option(help=say("o_sku"))] = None,
    stock: Annotated[int | None, typer.Option(min=1, help=say("o_stock"))] = None,
    limit: Annotated[int | None, typer.Option(min=0, help=say("o_limit"))] = None,
    price: Annotated[int | None, typer.Option(min=0, max=10**13, help=say("o_price"))] = None,
    opens_in: Annotated[int | None, typer.Option(min=0, help=say("o_opens_in"))] = None,
    opens_at: Annotated[str | None, typer.Option(help=say("o_opens_at"))] = None,
    ends_at: Annotated[str | None, typer.Option(help=say("o_ends_at"))] = None,
    ticket: Annotated[bool, typer.Option("--ticket", help=say("o_ticket"))] = False,
    mode: Annotated[str, typer.Option(help=say("o_mode"))] = "first_come",
    draws_in: Annotated[int | None, typer.Option(min=1, help=say("o_draws_in"))] = None,
    winners: Annotated[int | None, typer.Option(min=1, help=say("o_winners"))] = None,
    rate: Annotated[int, typer.Option(min=0, help=say("o_rate"))] = 0,
    demo: Annotated[bool, typer.Option("--demo", help=say("o_demo"))] = False,
    as_json: AsJson = False,
) -> None:
    from serve.cli import sale as sales
    from serve.cli.door import environment

    wish = sales.Wish(
        sku=sku, stock=stock, limit=limit, price=price, opens_in_s=opens_in, opens_at=opens_at, ends_at=ends_at, ticket=ticket,
        mode=mode, draws_in_s=draws_in, winners=winners, rate=rate, demo=demo,
    )  # fmt: skip
    made = sales.create(environment(), wish)
    if as_json:
        _print(sales.new_sale_json(made))
    else:
        typer.echo(sales.new_sale_words(made))


@sale.command("prepare", help=say("sale_prepare"))
def sale_prepare(
    sale_id: Annotated[str, typer.Argument(metavar="SALE")],
    parts: Annotated[int, typer.Option(min=1, max=64, help=say("o_parts"))],
    as_json: AsJson = False,
) -> None:
    from serve.cli import sale as sales
    from serve.cli.door import environment

    levels = sales.prepare(environment(), sale_id, parts)
    if as_json:
        _print({"sale_id": sale_id, "parts": [sales.part_json(level) for level in levels]})
        return
    for sku in dict.fromkeys(level.key.partition("#")[0] for level in levels):
        typer.echo(say("split", sku=sku, parts=parts))


@sale.command("status", help=say("sale_status"))
def sale_status(sale_id: Annotated[str, typer.Argument(metavar="SALE")], as_json: AsJson = False) -> None:
    from serve.cli import sale as sales
    from serve.cli.door import environment

    found = sales.status_json(sales.status(environment(), sale_id))
    if as_json:
        _print(found)
        return
    from serve.cli.sale_page import page

    _show(page(found))


@app.command(help=say("status"))
def status(as_json: AsJson = False, watch: Annotated[bool, typer.Option("--watch", help=say("o_watch"))] = False) -> None:
    from serve.cli.door import environment
    from serve.cli.status import status as look

    settings = environment()
    if as_json:
        _repeat(lambda: _print(look(settings)), watch)
        return
    from serve.cli.status_page import page

    if not watch:
        _show(page(look(settings)))
        return
    from rich.live import Live

    with Live(page(look(settings)), screen=True, auto_refresh=False) as live:
        _repeat(lambda: live.update(page(look(settings)), refresh=True), watch)


def _repeat(work: Callable[[], None], again: bool) -> None:
    import time

    work()
    try:
        while again:
            time.sleep(WATCH_S)
            work()
    except KeyboardInterrupt:
        return


def _show(page: Any) -> None:
    from rich.console import Console

    # A table that is cut says nothing: on a narrow screen its lines run over.
    Console(highlight=False, width=max(Console().width, WIDTH_MIN)).print(page)


@app.command(help=say("audit"))
def audit(
    as_json: AsJson = False,
    limit_minutes: Annotated[float, typer.Option(min=0, help=say("o_limit_minutes"))] = SAGA_LIMIT_MINUTES,
) -> None:
    from serve.cli.audit import audit as read
    from serve.cli.audit import words
    from serve.cli.door import environment

    report = read(environment(), limit_minutes)
    if as_json:
        _print(report)
    else:
        typer.echo(words(report))
    if not report.ok:
        raise typer.Exit(1)


@journal.command("status", help=say("journal_status"))
def journal_status(as_json: AsJson = False) -> None:
    from serve.cli import journal as journals
    from serve.cli.door import environment

    view = journals.status(environment())
    if as_json:
        _print(view)
    else:
        typer.echo(journals.status_words(view))


@journal.command("archive", help=say("journal_archive"))
def journal_archive(as_json: AsJson = False) -> None:
    _keep_journal("archive", None, as_json)


@journal.command("prune", help=say("journal_prune"))
def journal_prune(keep_days: KeepDays = None, as_json: AsJson = False) -> None:
    _keep_journal("prune", keep_days, as_json)


@journal.command("upkeep", help=say("journal_upkeep"))
def journal_upkeep(keep_days: KeepDays = None, as_json: AsJson = False) -> None:
    _keep_journal("upkeep", keep_days, as_json)


def _keep_journal(work: Literal["archive", "prune", "upkeep"], keep_days: int | None, as_json: bool) -> None:
    from serve.cli import journal as journals
    from serve.cli.door import environment

    report = journals.run(environment(), work, keep_days, _tell)
    if as_json:
        _print(report)
    else:
        typer.echo(journals.run_words(report))
    if report.problems:
        raise typer.Exit(1)


@search.command("status", help=say("search_status"))
def search_status(as_json: AsJson = False) -> None:
    from serve.cli import search as searches
    from serve.cli.door import environment

    view = searches.status(environment())
    if as_json:
        _print(view)
    else:
        typer.echo(searches.status_words(view))


@search.command("rebuild", help=say("search_rebuild"))
def search_rebuild(as_json: AsJson = False) -> None:
    from serve.cli import search as searches
    from serve.cli.door import environment

    found = searches.rebuild(environment(), _tell)
    if as_json:
        _print(found)
    else:
        typer.echo(searches.rebuilt_words(found))


@member.command("show", help=say("member_show"))
def member_show(user_id: Annotated[str, typer.Argument(metavar="USER")], as_json: AsJson = False) -> None:
    from serve.cli import member as members
    from serve.cli.door import environment

    found = members.show(environment(), user_id)
    if as_json:
        _print(found)
    else:
        typer.echo(members.show_words(found))


@member.command("rules", help=say("member_rules"))
def member_rules(as_json: AsJson = False) -> None:
    from serve.cli import member as members
    from serve.cli.door import environment

    rules = members.rules(environment())
    if as_json:
        _print(rules)
    else:
        typer.echo(members.rules_words(rules))


@events.command("status", help=say("events_status"))
def events_status(as_json: AsJson = False) -> None:
    from serve.cli import events as behaviour
    from serve.cli.door import environment

    view = behaviour.status(environment())
    if as_json:
        _print(view)
    else:
        typer.echo(behaviour.status_words(view))


@events.command("land", help=say("events_land"))
def events_land(as_json: AsJson = False) -> None:
    from serve.cli import events as behaviour
    from serve.cli.door import environment

    report = behaviour.land(environment())
    if as_json:
        _print(report)
    else:
        typer.echo(behaviour.land_words(report))
    if report.problem:
        raise typer.Exit(1)


@app.command("watch", help=say("watch"))
def watch_goods(
    recount: Annotated[bool, typer.Option("--recount", help=say("o_recount"))] = False,
    as_json: AsJson = False,
) -> None:
    from serve.cli import watch
    from serve.cli.door import environment

    done = watch.watch(environment(), recount=recount)
    if as_json:
        _print(done)
    else:
        typer.echo(watch.words(done))


@staff.command("grant", help=say("staff_grant"))
def staff_grant(user: UserArgument, role: RoleArgument, merchant: Annotated[str, typer.Option(help=say("o_merchant"))] = "") -> None:
    from serve.cli.door import environment
    from serve.cli.staff import grant

    grant(environment(), user, role, merchant)
    typer.echo(say("granted", user=user, role=role))


@staff.command("revoke", help=say("staff_revoke"))
def staff_revoke(user: UserArgument, role: RoleArgument) -> None:
    from serve.cli.door import environment
    from serve.cli.staff import revoke

    ended = revoke(environment(), user, role)
    typer.echo(say("revoked" if ended else "revoked_at_rest", user=user, role=role))


@staff.command("merchant", help=say("staff_merchant"))
def staff_merchant(
    merchant_id: Annotated[str, typer.Argument(metavar="MERCHANT")],
    title: Annotated[str, typer.Option(help=say("o_title"))],
    title_zh: Annotated[str, typer.Option(help=say("o_title_zh"))],
    product: Annotated[list[str] | None, typer.Option(help=say("o_product"))] = None,
) -> None:
    from serve.cli.door import environment
    from serve.cli.staff import merchant

    count = merchant(environment(), merchant_id, title, title_zh, product or [])
    typer.echo(say("merchant_made", merchant=merchant_id, title=title, count=count))


@staff.command("list", help=say("staff_list"))
def staff_list(as_json: AsJson = False) -> None:
    from serve.cli.door import environment
    from serve.cli.staff import listed, listed_words

    grants = listed(environment())
    if as_json:
        _print(grants)
    else:
        typer.echo(listed_words(grants))


@goods.command("import", help=say("goods_import"))
def goods_import(
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help=say("o_dry_run"))] = False,
    as_json: AsJson = False,
) -> None:
    from serve.cli.door import environment
    from serve.cli.goods import import_file

    found = import_file(environment(), file, dry_run=dry_run, show=not as_json)
    if as_json:
        _print(found)
    else:
        typer.echo(found.said)
    if found.job.bad_cells or found.job.state in ("refused", "failed", "cancelled"):
        raise typer.Exit(1)


@goods.command("export", help=say("goods_export"))
def goods_export(
    file: Annotated[Path, typer.Argument(metavar="FILE")], state: Annotated[str, typer.Option(help=say("o_state"))] = ""
) -> None:
    from serve.cli.door import environment
    from serve.cli.goods import export_file

    typer.echo(say("exported", count=f"{export_file(environment(), file, state):,}", file=file))


@privacy.command("run", help=say("privacy_run"))
def privacy_run(as_json: AsJson = False) -> None:
    from serve.cli.door import environment
    from serve.cli.privacy import run, words

    done = run(environment())
    if as_json:
        _print(done)
    else:
        typer.echo(words(done))


@app.command(help=say("drain"))
def drain(
    host: Annotated[str, typer.Argument(metavar="HOST")],
    undo: Annotated[bool, typer.Option("--undo", help=say("o_undo"))] = False,
) -> None:
    from serve.cli.door import environment
    from serve.cli.drain import drain as run

    run(environment(), host, _tell, undo=undo)
    typer.echo(say("undrained" if undo else "drained", host=host))


if __name__ == "__main__":
    main()
