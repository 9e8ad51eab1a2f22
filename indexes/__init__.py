"""Vector indexes behind the protocol `contextkit.protocols.VectorIndex`, found by the entry-point group `contextkit.indexes`."""
