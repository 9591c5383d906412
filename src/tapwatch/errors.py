"""Every exception that tapwatch raises on purpose.

TapwatchError            a fault of ours, or of the machine   exit code 1
  ├── ConfigError        the operator wrote something we cannot obey   exit code 2
  ├── CaptureError       the tap or the file cannot be read   exit code 3
  ├── ArtifactError      the saved model does not fit this build   exit code 4
  ├── SinkError          what we found could not be written   exit code 1
  └── Stopped            asked to end while waiting for input   exit code 130

A malformed *packet* is not an exception: it is a row with a DecodeStatus, and a counter.
"""


class TapwatchError(Exception):
    """The message names the thing, what was found and what is wanted."""

    exit_code = 1


class ConfigError(TapwatchError):
    """A value that we refuse, and what would be accepted instead."""

    exit_code = 2

    def __init__(self, key: str, got: object, want: str, hint: str = "") -> None:
        super().__init__(f"{key} = {got!r}: want {want}" + (f" ({hint})" if hint else ""))
        self.key = key


class CaptureError(TapwatchError):
    """A capture or interface that cannot be opened or read at all."""

    exit_code = 3


class ArtifactError(TapwatchError):
    """A bundle that is damaged, or was made for another schema."""

    exit_code = 4


class Stopped(TapwatchError):
    """Somebody asked us to end while we waited for a pipe; a run that has begun ends in order."""

    exit_code = 130


class SinkError(TapwatchError):
    """Output that could not be written, with the count of what was lost."""

    exit_code = 1
