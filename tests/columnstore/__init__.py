"""TimescaleDB under its own licence for tests, compiled to WebAssembly: npm packages behind a socket."""
