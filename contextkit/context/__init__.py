"""Building packets: from a question to the text that is sent, within an exact token budget, with a receipt."""
