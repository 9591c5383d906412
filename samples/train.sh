#!/bin/sh
# make bundle: train the sample bundles on the benign sample captures. The same captures and the
# same seed give the same scores. The second half of the held-out capture is left for measuring.
set -eu
cd "$(dirname "$0")/.."
: "${PYTHON:=.venv/bin/python}"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$PYTHON" samples/halves.py samples/benign-holdout.pcap.zst \
  "$scratch/benign-holdout-1.pcap" "$scratch/benign-holdout-2.pcap"
for view in flow packet; do
  "$PYTHON" -m tapwatch train samples/benign-train.pcap.zst \
    --calibrate "$scratch/benign-holdout-1.pcap" \
    --view "$view" --detector ae --budget 1 --seed 1 -o "samples/bundles/$view"
done
