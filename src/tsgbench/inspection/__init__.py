"""What one trained cell does on a few queries: which ones, what it attended to, what they show."""
