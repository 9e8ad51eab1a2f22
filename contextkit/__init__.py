"""contextkit: the smallest context that holds what an agent call needs, with a receipt for every token."""
