"""The profile of a device behind another maker's gateway: it declares its points itself, at its birth."""

from typing import Literal

from drivers.profile import Measure, Profile


class SparkplugProfile(Profile):
    """No measures: what the device declares on the wire becomes its points on the hub."""

    protocol: Literal["sparkplug"]

    @property
    def measures(self) -> tuple[Measure, ...]:
        """None that we know of."""
        return ()
