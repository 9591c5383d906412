"""All faults that `python -m tests.mutants` plants."""

from tests.mutants.afterimage_faults import AFTERIMAGE_FAULTS
from tests.mutants.conversation_faults import CONVERSATION_FAULTS
from tests.mutants.decode_faults import DECODE_FAULTS
from tests.mutants.detect_faults import DETECT_FAULTS
from tests.mutants.flow_faults import FLOW_FAULTS
from tests.mutants.host_faults import HOST_FAULTS
from tests.mutants.kdd_faults import KDD_FAULTS
from tests.mutants.label_faults import LABEL_FAULTS
from tests.mutants.view_faults import VIEW_FAULTS

FAULTS = (
    *DECODE_FAULTS,
    *FLOW_FAULTS,
    *VIEW_FAULTS,
    *KDD_FAULTS,
    *HOST_FAULTS,
    *LABEL_FAULTS,
    *AFTERIMAGE_FAULTS,
    *CONVERSATION_FAULTS,
    *DETECT_FAULTS,
)
