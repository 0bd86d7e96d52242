"""Variables as the API takes and shows them."""

from datetime import datetime
from typing import Annotated

import msgspec

from hub import PageQuery
from services.envars import contracts as c

Text = Annotated[
    str | None,
    msgspec.Meta(
        description="At most 16 KiB. `${DEVICE_ID}`, `${DEVICE_LABEL}`, `${GROUP}` and "
        "`${PROJECT_ID}` are filled in for each device; a plain `${` is written `$${`. Left out, a "
        "secret keeps the value that it has."
    ),
]
Secret = Annotated[bool, msgspec.Meta(description="It is kept encrypted, and never shown.")]
Restart = Annotated[
    bool, msgspec.Meta(description="A device starts its app anew when this changes.")
]


class EnvarBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client sets of a variable."""

    value: Text = None
    secret: Secret = False
    restart: Restart = False

    def __repr__(self) -> str:
        return f"EnvarBody(secret={self.secret}, restart={self.restart})"


class EnvarsBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Variables by name: letters, digits and `_`, at most 128, no digit first."""

    variables: dict[str, EnvarBody]


class EnvarView(msgspec.Struct, frozen=True):
    """A variable as the API shows it.

    Args:
        value: as it was written; null of a secret.
    """

    value: str | None
    secret: bool
    restart: bool
    changed_at: datetime


class EnvarsView(msgspec.Struct, frozen=True):
    """What is set at one level, by name."""

    variables: dict[str, EnvarView]


class DeviceEnvarView(msgspec.Struct, frozen=True):
    """A variable as a device gets it.

    Args:
        value: filled in; null of a secret.
        level: where it is set: of those that set it the nearest to the device.
    """

    value: str | None
    secret: bool
    restart: bool
    changed_at: datetime
    level: c.LevelName


class DeviceEnvarsView(msgspec.Struct, frozen=True):
    """What a device gets, by name, and how far it is.

    Args:
        version: of the whole; it counts changes of what this device gets.
        applied: the version that the device uses, as it says; 0 before the first.
        error: why it could not take up the newest, in its words.
    """

    variables: dict[str, DeviceEnvarView]
    version: int
    applied: int
    error: str


class EnvarStatusView(msgspec.Struct, frozen=True):
    """How far a device is.

    Args:
        version: that it is to have; applied: that it uses, as it says.
        error: why it could not take up the newest, in its words.
    """

    device: str
    label: str
    group: str
    online: bool
    version: int
    applied: int
    error: str
    reported_at: datetime | None


class EnvarStatusQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    """A page of devices."""

    pending: Annotated[
        bool, msgspec.Meta(description="Only those that have not, or have, taken up the newest.")
    ] | None = None  # fmt: skip
