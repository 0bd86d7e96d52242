"""The section `[telemetry]` of `hub.toml`."""

from typing import Annotated

import msgspec

Days = Annotated[int, msgspec.Meta(ge=1, le=3650)]


class TelemetrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how long samples are kept, and how many series.

    Args:
        keep_days: for which every sample is kept; older ones that arrive are not.
        keep_fine_days: for which there is a point every 5 minutes.
        keep_rollup_days: for which there is a point every hour.
        series_per_device: that one device may have (a series is a name with its labels); samples
            of more are not kept.
    """

    keep_days: Days = 14
    keep_fine_days: Days = 90
    keep_rollup_days: Days = 400
    series_per_device: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1_000

    def __post_init__(self) -> None:
        if not self.keep_days <= self.keep_fine_days <= self.keep_rollup_days:
            raise ValueError("keep_days, keep_fine_days and keep_rollup_days go up")
