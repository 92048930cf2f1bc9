"""The ``plantroom`` command: every failure is one sentence on stderr and a non-zero exit; ``--debug`` shows where."""

import sys
from typing import Annotated

import typer
from typer.exceptions import TyperException

from deploy import logs
from deploy.commands import (
    audit,
    broker,
    care,
    demo,
    doctor,
    edge,
    export,
    gaps,
    gateway,
    hub,
    keys,
    organisation,
    privacy,
    readings,
    role,
    sim,
    store,
    token,
    user,
    web,
)
from web.witness import asking

app = typer.Typer(
    name="plantroom",
    help="Plantroom: from the meter and the machine to the work order, the lease and the bill.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(edge.app, name="edge")
app.add_typer(hub.app, name="hub")
app.add_typer(web.app, name="web")
app.add_typer(sim.app, name="sim")
app.add_typer(store.app, name="store")
app.add_typer(user.app, name="user")
app.add_typer(keys.app, name="keys")
app.add_typer(audit.app, name="audit")
app.add_typer(privacy.app, name="privacy")
app.add_typer(gateway.app, name="gateway")
app.add_typer(broker.app, name="broker")
app.add_typer(organisation.app, name="organisation")
app.add_typer(organisation.group_app, name="group")
app.add_typer(token.app, name="token")
app.add_typer(readings.app, name="readings")
readings.app.command("gaps")(gaps.gaps)
app.add_typer(export.app, name="export")
user.app.command("grant")(role.grant)
user.app.command("revoke")(role.revoke)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.command("backup")(care.backup)
app.command("restore")(care.restore)

_EXIT_FAILED = 1
_EXIT_MISUSED = 2
_EXIT_INTERRUPTED = 130


@app.callback()
def options(
    words: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show where in the program a failure happened.")] = False,
    log_format: Annotated[
        logs.Form, typer.Option(envvar="PLANTROOM_LOG_FORMAT", help="How the log is written: text or json.")
    ] = "text",
) -> None:
    """Set up logging for every command."""
    logs.set_up(words.invoked_subcommand or "plantroom", log_format, debug=debug, context=asking)


def main() -> None:
    """Run the command line; the supervisor of all commands, hence the one broad except."""
    try:
        code = app(standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(_EXIT_INTERRUPTED)
    except TyperException as error:  # without words where the help has been printed instead
        if said := error.format_message():
            _say(f"{said.rstrip('.')}; see 'plantroom --help'")
        sys.exit(_EXIT_MISUSED)
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        for sentence in sentences(error):
            _say(sentence)
        sys.exit(_EXIT_FAILED)
    sys.exit(code if isinstance(code, int) else 0)


def sentences(error: Exception) -> list[str]:
    """Give what a failure says to a user: every problem of a file, the system's words, or where to look for a bug."""
    if isinstance(error, OSError) and error.strerror:
        return [f"{error.filename}: {error.strerror.lower()}" if error.filename else error.strerror]
    said = [str(problem) for problem in getattr(error, "problems", ())] or [str(error) or "no reason was given"]
    if type(error).__module__ == "builtins":  # not one of our named refusals: a bug
        return [f"{said[0].rstrip('.')} ({type(error).__name__}; run again as 'plantroom --debug ...' to see where)"]
    return said


def _say(sentence: str) -> None:
    said = logs.escape(logs.redact(" ".join(sentence.split())))
    print(f"plantroom: {said if said[-1] in '.!?' else said + '.'}", file=sys.stderr)
