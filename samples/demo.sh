#!/bin/sh
# make demo: replay the sample attack capture through the sample bundles.
set -eu
cd "$(dirname "$0")/.."
: "${PYTHON:=.venv/bin/python}"
echo "Replaying samples/attacks.pcap.zst: half an hour of an office under attack." >&2
echo "The first run compiles the kernels; that takes about half a minute." >&2
"$PYTHON" -m tapwatch replay samples/attacks.pcap.zst \
  --bundle samples/bundles/flow --bundle samples/bundles/packet -o alerts.jsonl
echo "The alerts are in alerts.jsonl, one JSON object a line." >&2
