"""Every error that contextkit raises on purpose.

    ContextkitError
    |-- InputError (ValueError)            an argument, a filter or a setting that cannot work
    |   |-- FilterError                    a `where` that is not understood
    |   |-- UnknownModel                   a model name that no catalogue knows
    |   `-- BudgetExceeded                 what must be delivered does not fit the token budget
    |-- IndexNotFound (FileNotFoundError)  no index in that folder
    |-- IndexMismatch                      an index of another embedder, format or pipeline
    |-- IndexDamaged                       the stored truth is broken
    |-- IndexLocked (TimeoutError)         another process is writing
    |-- ReadOnlyIndex (PermissionError)    a write on an index opened for reading
    |-- KitClosed                          a call on a kit that was closed
    |-- ServerUnreachable (ConnectionError) a database server that does not answer, or a connection that broke
    |-- StateConflict                      another writer changed a state since it was read
    |-- SourceError (OSError)              a connector that cannot list or fetch
    |-- ParseError (ValueError)            one document that cannot be read
    |   |-- UnsupportedFormat              no parser for this type
    |   |-- EncryptedDocument              a password is needed
    |   |-- DocumentTooLarge               over the size limit
    |   `-- ParseLimit                     over the time or memory limit
    |-- EmbedderError                      weights that do not load, an endpoint that does not answer
    |-- RerankerError                      a reranker that does not load, that fails, or whose scores are none
    |-- ExtractorError                     an extractor of facts that does not answer, or not as it must
    |-- PluginError                        an installed plug-in that does not load
    `-- MissingExtra (ImportError)         an optional package is needed; names the extra

A message says what went wrong, the offending value, the limit, and what to do next. The command line prints the message of
any of these as one line and exits with 2.
"""

from __future__ import annotations

__all__ = [
    "BudgetExceeded",
    "ContextkitError",
    "DocumentTooLarge",
    "EmbedderError",
    "EncryptedDocument",
    "ExtractorError",
    "FilterError",
    "IndexDamaged",
    "IndexLocked",
    "IndexMismatch",
    "IndexNotFound",
    "InputError",
    "KitClosed",
    "MissingExtra",
    "ParseError",
    "ParseLimit",
    "PluginError",
    "ReadOnlyIndex",
    "RerankerError",
    "ServerUnreachable",
    "SourceError",
    "StateConflict",
    "UnknownModel",
    "UnsupportedFormat",
]


class ContextkitError(Exception):
    """The root: catch this to catch everything that contextkit raises on purpose."""


class InputError(ContextkitError, ValueError):
    """An argument, a filter or a setting that cannot work."""


class FilterError(InputError):
    """A `where` filter that is not understood."""


class UnknownModel(InputError):
    """A model name that no catalogue knows; the message offers near names."""


class BudgetExceeded(InputError):
    """What must be delivered does not fit the token budget.

    Attributes:
        section: the part of the packet that does not fit, for example "documents".
        needed: tokens that it needs at least.
        limit: tokens that it may take.
    """

    def __init__(self, message: str, *, section: str = "", needed: int = 0, limit: int = 0) -> None:
        super().__init__(message)
        self.section = section
        self.needed = needed
        self.limit = limit


class IndexNotFound(ContextkitError, FileNotFoundError):
    """There is no index in that folder."""


class IndexMismatch(ContextkitError):
    """The index was made with another embedder, format or pipeline than the one at hand."""


class IndexDamaged(ContextkitError):
    """The stored truth is broken: it does not open, or what it holds contradicts itself."""


class IndexLocked(ContextkitError, TimeoutError):
    """Another process is writing to the index; the call may be tried again."""


class ReadOnlyIndex(ContextkitError, PermissionError):
    """A write was asked of an index that was opened for reading."""


class KitClosed(ContextkitError):
    """A call on a kit after its `close()`."""


class ServerUnreachable(ContextkitError, ConnectionError):
    """A database server does not answer, lets the user not in, or the connection to it broke; the call may be tried again."""


class StateConflict(ContextkitError):
    """Another writer changed a state since it was read; the call may be tried again on what is there now."""


class SourceError(ContextkitError, OSError):
    """A connector cannot list its source or fetch a document."""


class ParseError(ContextkitError, ValueError):
    """One document cannot be read; the build goes on and the report names it."""


class UnsupportedFormat(ParseError):
    """No parser reads this type of document."""


class EncryptedDocument(ParseError):
    """The document is encrypted and no password is known."""


class DocumentTooLarge(ParseError):
    """The document is over the size limit."""


class ParseLimit(ParseError):
    """The document took more time or memory than a document may take."""


class EmbedderError(ContextkitError):
    """Weights that do not load or are not the expected ones, or an endpoint that does not answer."""


class RerankerError(ContextkitError):
    """A reranker whose model does not load, that fails on a question, or that gives something else than scores."""


class ExtractorError(ContextkitError):
    """An extractor of facts does not answer, or not as it must; what was said is kept all the same."""


class PluginError(ContextkitError):
    """An installed plug-in that was asked for and does not load."""


class MissingExtra(ContextkitError, ImportError):
    """An optional package is needed; the message names the extra to install."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package {package!r}, which is not installed: pip install 'contextkit[{extra}]'")
        self.package = package
        self.extra = extra

    def __reduce__(self) -> tuple[object, ...]:  # the message alone would not rebuild it in another process
        return (_rebuild_missing_extra, (str(self), self.package, self.extra))


def _rebuild_missing_extra(message: str, package: str, extra: str) -> MissingExtra:
    error = MissingExtra.__new__(MissingExtra, message)
    ImportError.__init__(error, message)
    error.package, error.extra = package, extra
    return error
