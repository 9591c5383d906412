"""Room 3, flows: PACKET rows become bidirectional FLOW rows, and each packet learns whose it is."""

from tapwatch.flows.flow_table import FlowState, FlowTable, FlowUpdate
from tapwatch.flows.naming import community_id, describe

__all__ = ["FlowState", "FlowTable", "FlowUpdate", "community_id", "describe"]
