"""What past generations would cost by another card, and the corrections that make it so."""
