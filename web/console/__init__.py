"""The console: what operators, dispatchers and billing people work on."""
