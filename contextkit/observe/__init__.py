"""What happened: stored receipts, how they differ, what calls cost and what came of them."""
