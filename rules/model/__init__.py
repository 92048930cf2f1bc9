"""The words that every other part speaks: point, reading, quality, period, money, quantity, site."""
