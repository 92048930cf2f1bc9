"""``plantroom privacy``: what has outlived its period, and what is known of a person."""

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from deploy.acts import in_organisation
from deploy.commands.options import AsJson, Data, Organisation
from hub.errors import InvalidError, NotFoundError
from hub.privacy import retention
from hub.privacy import service as privacy
from hub.privacy.rows import Export, Person, Retention
from hub.store.database import Transaction
from web import takeout

app = typer.Typer(help="Personal data.", no_args_is_help=True)

LANGUAGES = ("zh", "en")
KINDS = ".zip or .json"
PERSON_KINDS = ("user", "contact", "badge")


@app.command()
def due(as_json: AsJson = False, organisation: Organisation = None, data: Data = None) -> None:
    """Say what the next run removes, and remove nothing.  Example: plantroom privacy due."""
    now = datetime.now(UTC)
    found = in_organisation(data, organisation, lambda tx: retention.due(tx, now))
    typer.echo(json.dumps([_told(one) for one in found]) if as_json else "\n".join(_sentence(one) for one in found))


def _told(one: Retention) -> dict[str, object]:
    oldest = one.state.oldest.isoformat() if one.state.oldest else None
    days = one.entry.kept.days if one.entry.kept else None
    return {"table": one.table, "kept_days": days, **asdict(one.state), "oldest": oldest}


def _sentence(one: Retention) -> str:
    days = one.entry.kept.days if one.entry.kept else 0
    then = "get a pseudonym" if one.entry.afterwards == "pseudonymise" else "go"
    return f"{one.table:<18} {one.state.kept:>8} records, kept for {days} days; {one.state.due} {then} next time"


@app.command()
def export(
    person: Annotated[list[str], typer.Argument(help="Login, name, badge, phone or e-mail; or kind:id as listed.")],
    out: Annotated[Path, typer.Option(help=f"File to write: {KINDS}.")],
    reason: Annotated[str, typer.Option(help="Who asked, and how you know that it is he; without his name.")],
    language: Annotated[str, typer.Option(help="Of the page to read: zh or en.")] = "zh",
    organisation: Organisation = None,
    data: Data = None,
) -> None:
    """Give out what is known of a person.  Example: plantroom privacy export li.wei --out li.zip --reason letter."""
    if out.suffix not in (".zip", ".json") or language not in LANGUAGES:
        raise InvalidError(f"Write to a file that ends with {KINDS}, in zh or en.")
    now = datetime.now(UTC)

    async def act(tx: Transaction) -> Export:
        return await privacy.export(tx, await _person(tx, person), reason, now)

    made = in_organisation(data, organisation, act)
    body = takeout.packed(made, language) if out.suffix == ".zip" else takeout.data(made).encode()
    with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(body)
    typer.echo(f"{sum(len(section.records) for section in made.sections)} records are in {out}, for its owner to read.")


async def _person(tx: Transaction, words: list[str]) -> Person:
    """Put together the one person that is meant; raises InvalidError, with all that may be meant, or NotFoundError."""
    held: dict[str, list[UUID]] = {kind: [] for kind in PERSON_KINDS}
    for word in words:
        kind, _, identity = word.partition(":")
        if kind in held and identity:
            held[kind].append(_id(identity))
            continue
        found = await privacy.find(tx, word)
        if not found:
            raise NotFoundError(f"Nobody is known by '{word}'.")
        if len(found) > 1:
            listed = ", ".join(f"{one.kind}:{one.id} ({one.known_by})" for one in found)
            raise InvalidError(f"Several records are known by '{word}'; name those that are the person's: {listed}.")
        held[found[0].kind].append(found[0].id)
    return Person(tuple(held["user"]), tuple(held["contact"]), tuple(held["badge"]))


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InvalidError(f"'{text[:40]}' is not the id of a record; take it as it is listed.") from None
