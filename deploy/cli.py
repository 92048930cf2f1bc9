"""The ``plantroom`` command: every failure is one sentence on stderr and a non-zero exit; ``--debug`` shows where."""

import logging
import sys
from typing import Annotated

import click
import typer

from deploy.commands import audit, demo, doctor, edge, hub, readings, sim, user, web

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
app.add_typer(user.app, name="user")
app.add_typer(audit.app, name="audit")
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.command("readings")(readings.readings)

_EXIT_FAILED = 1
_EXIT_INTERRUPTED = 130


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show where in the program a failure happened.")] = False,
) -> None:
    """Set up logging for every command."""
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for noisy in ("pymodbus", "apscheduler", "httpx", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def main() -> None:
    """Run the command line; the supervisor of all commands, hence the one broad except."""
    try:
        code = app(standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        sys.exit(_EXIT_INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        said = " ".join(str(error).split()) or "no reason was given"
        print(f"plantroom: {said if said[-1] in '.!?' else said + '.'}", file=sys.stderr)
        if type(error).__module__ == "builtins":  # not one of our named refusals: a bug or the operating system
            print(f"({type(error).__name__}; run again as 'plantroom --debug ...' to see where.)", file=sys.stderr)
        sys.exit(_EXIT_FAILED)
    sys.exit(code if isinstance(code, int) else 0)
