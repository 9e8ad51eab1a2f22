"""What several adapters need. No peer is imported here."""
