"""Options that several verbs share. None always means: as the settings say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Index = Annotated[
    Path | None,
    typer.Option("--index", "-i", metavar="DIR", help="Folder of the index [CONTEXTKIT_INDEX; .contextkit/index]."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on stdout.")]
Question = Annotated[str, typer.Argument(metavar="QUESTION", help="The question; - reads it from stdin.")]
Where = Annotated[
    str | None,
    typer.Option("--where", metavar="JSON", help="""Only documents whose metadata fit, such as '{"team": "sales"}'."""),
]
User = Annotated[
    str | None, typer.Option("--user", metavar="NAME", help="Ask on behalf of this user; unset: what everyone may see.")
]
Group = Annotated[list[str] | None, typer.Option("--group", metavar="NAME", help="A group that the user is in; may be repeated.")]
Embedder = Annotated[
    str | None,
    typer.Option(
        "--embedder", metavar="MODEL", help="A model's folder or name, the same for making and asking [all-MiniLM-L6-v2]."
    ),
]
Reranker = Annotated[
    str | None,
    typer.Option("--reranker", metavar="FOLDER", help="A cross-encoder that judges what was found, or late-interaction [none]."),
]
