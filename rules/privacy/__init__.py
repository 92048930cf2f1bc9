"""What is personal, why it is kept and for how long."""
