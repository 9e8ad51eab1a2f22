"""Sources of documents behind `contextkit.protocols.Connector`, found by the entry-point group `contextkit.connectors`."""
