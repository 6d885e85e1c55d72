"""What must hold of money whatever is killed, and whoever asks or leaves at once."""
