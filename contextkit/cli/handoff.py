"""`contextkit handoff ...`: what agents pass on to each other."""

from __future__ import annotations

import sys

import typer

group = typer.Typer(name="handoff", help="What agents pass on to each other.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Adds the verbs of this module."""
    app.add_typer(group)


@group.callback()
def handoff(ctx: typer.Context) -> None:
    """What agents pass on to each other."""
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


@group.command()
def schema() -> None:
    """Print the JSON schema of a hand-off, as it is published."""
    from contextkit.context.handoff import schema_text

    sys.stdout.write(schema_text())
