"""Consumption of meters, real and virtual, as facts with evidence; balances and demand on top of it."""
