"""The record of every act: written in the act's own transaction, then chained by hash."""
