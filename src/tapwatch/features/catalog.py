"""The schemas of all views, without their kernels: for documents, checks and bundles."""

from typing import Final

from tapwatch.errors import ConfigError
from tapwatch.features.afterimage.columns import AFTERIMAGE_115_SCHEMA, AFTERIMAGE_SCHEMA
from tapwatch.features.flow.columns import FLOW_SCHEMA
from tapwatch.features.host.columns import HOST_SCHEMA
from tapwatch.features.kdd.columns import KDD_SCHEMA
from tapwatch.features.packet.columns import PACKET_SCHEMA
from tapwatch.tables import Schema

#: View name -> what its rows are.
SCHEMAS: Final[dict[str, Schema]] = {
    schema.view: schema
    for schema in (
        PACKET_SCHEMA,
        FLOW_SCHEMA,
        KDD_SCHEMA,
        AFTERIMAGE_SCHEMA,
        AFTERIMAGE_115_SCHEMA,
        HOST_SCHEMA,
    )
}


def schema_of(view: str) -> Schema:
    """Schema of a view by name.

    Raises
    ------
    ConfigError
        There is no such view; the message names those that there are.
    """
    if view not in SCHEMAS:
        raise ConfigError("view", view, "one of " + ", ".join(SCHEMAS))
    return SCHEMAS[view]
