"""The views, by name; importing this module imports the kernels."""

from typing import Final

from tapwatch.features.flow import FlowView
from tapwatch.features.packet import PacketView
from tapwatch.features.view import View

#: View name -> its class.
VIEWS: Final[dict[str, type[View]]] = {"packet": PacketView, "flow": FlowView}
