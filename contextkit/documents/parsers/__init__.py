"""The parsers, one module a family: each has one function, `read(Source) -> Document`. What they share is one folder up."""
