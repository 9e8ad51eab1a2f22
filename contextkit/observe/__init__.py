"""What happened: stored receipts."""
