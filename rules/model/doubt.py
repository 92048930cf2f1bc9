"""What happens when the data cannot decide: the account is parked with a reason, never guessed."""


class DoubtError(ValueError):
    """The amount cannot be decided from what is stored; says in English and Chinese what is missing, what to do."""

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(en)
        self.en = en
        self.zh = zh
