"""The views, by name; a view's kernels are imported when it is asked for."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Final

from tapwatch.features.view import View

_CLASSES: Final = {
    "packet": "packet.view:PacketView",
    "flow": "flow.view:FlowView",
    "kdd": "kdd.view:KddView",
    "afterimage": "afterimage.view:AfterimageView",
    "afterimage_115": "afterimage.view:Afterimage115View",
    "host": "host.view:HostView",
}


class _Views(Mapping[str, type[View]]):
    def __getitem__(self, name: str) -> type[View]:
        module, _, view = _CLASSES[name].partition(":")
        found: type[View] = getattr(import_module(f"tapwatch.features.{module}"), view)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(_CLASSES)

    def __len__(self) -> int:
        return len(_CLASSES)


#: View name -> its class.
VIEWS: Final[Mapping[str, type[View]]] = _Views()
