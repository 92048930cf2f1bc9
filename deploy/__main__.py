"""``python -m deploy`` is ``plantroom``, for processes that are started by path of the interpreter."""

from deploy.cli import main

main()
