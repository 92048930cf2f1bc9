"""The pages: FastAPI, Jinja2, htmx, and one WebSocket per page."""
