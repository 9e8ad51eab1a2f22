"""`contextkit config`: each setting with its value and where it comes from."""

from __future__ import annotations

import typer

from contextkit.cli import options, output


def register(app: typer.Typer) -> None:
    """Adds the verb of this module."""
    app.command()(config)


def config(*, index: options.Index = None, json: options.Json = False) -> None:
    """Show every setting with its value and where it comes from."""
    from contextkit.config import find_file, settings_with_sources

    found = settings_with_sources(index=index)
    if json:
        output.print_json({"file": find_file(), "settings": found})
        return
    rows = [(s.name, _shown(s.value), f"{s.source}{f' {s.where}' if s.where else ''}", s.description) for s in found]
    screen = output.console()
    screen.print(output.table("", ("setting", "value", "from", "what it is"), rows))
    screen.print(
        output.styled(f"file: {find_file() or 'none (contextkit.toml, here or in a parent folder)'}", "dim"), soft_wrap=True
    )


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "-"
    return "-" if value is None else str(value)
