"""What Plantroom decides: pure functions over plain values; time, files and chance come in as arguments."""
