"""A stand-in for spaCy's small English model, for unstructured alone: sentences by punctuation, verbs by a closed list.

On `sys.path` only where the real model is not installed, and only in processes that parse with unstructured.
"""

from __future__ import annotations

from typing import Any

__version__ = "3.8.0"

_VERBS_WORDS = (
    "is are was were be been being am has have had do does did can could will would shall should may might must "
    "make makes made take takes took taken get gets got give gives gave given go goes went gone say says said see "
    "sees saw seen know knows knew known use uses used using find finds found need needs needed work works worked "
    "include includes included provide provides provided show shows showed shown become becomes became keep keeps "
    "kept let lets begin begins began help helps helped follow follows followed require requires required allow "
    "allows allowed contain contains contained "
)
_VERBS = frozenset(_VERBS_WORDS.split())


def load(**overrides: Any) -> Any:  # noqa: ANN401 spaCy's own signature
    """A blank English pipeline with a sentencizer and a tagger of common verbs."""
    import spacy
    from spacy.language import Language

    del overrides
    if not Language.has_factory("closed_list_tagger"):

        @Language.component("closed_list_tagger")
        def closed_list_tagger(document: Any) -> Any:  # noqa: ANN401
            for token in document:
                token.tag_ = "VB" if token.lower_ in _VERBS else ("CD" if token.like_num else "NN")
            return document

    pipeline = spacy.blank("en")
    pipeline.add_pipe("sentencizer")
    pipeline.add_pipe("closed_list_tagger")
    return pipeline
