"""Finding: from a question to scored chunks and sentences. Selecting and packing them is `contextkit.context`."""
