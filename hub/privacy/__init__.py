"""What is known of people: the register, what has outlived its period, what a person may have or have erased."""
