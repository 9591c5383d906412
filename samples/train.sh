#!/bin/sh
# make bundle: train the sample bundles on the benign sample captures. The same captures and the
# same seed give the same scores. The second half of the held-out capture is left for measuring.
set -eu
cd "$(dirname "$0")/.."
: "${PYTHON:=.venv/bin/python}"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# On record as the time of training, so that a bundle made again is the same file.
SOURCE_DATE_EPOCH=1795291200
export SOURCE_DATE_EPOCH

"$PYTHON" samples/halves.py samples/benign-holdout.pcap.zst \
  "$scratch/benign-holdout-1.pcap" "$scratch/benign-holdout-2.pcap"

train() { # VIEW COLUMNS-TO-DROP [OPTION...]
  view=$1 drop=$2
  shift 2
  "$PYTHON" -m tapwatch train samples/benign-train.pcap.zst \
    --calibrate "$scratch/benign-holdout-1.pcap" --view "$view" --detector deep_ae --drop "$drop" \
    --set validation=0.05 --budget 4 "$@" -o "samples/bundles/$view"
}

# Rates of flows of two packets are noise; so is the spread of two or three idle times.
train flow flow_byts_s,flow_pkts_s,fwd_pkts_s,bwd_pkts_s,fwd_blk_rate_avg,bwd_blk_rate_avg,idle_std,active_std \
  --set hidden=68,17,68 --set clip=4 --set balance=1 --set weight_decay=0.2 --set beyond=1.35 --seed 4
# Who began a flow that was joined in the middle is a guess, and with it all that is told by side.
train packet direction,src_port_system,src_port_registered,src_port_dynamic,dst_port_system,dst_port_registered,dst_port_dynamic \
  --set hidden=52,13,52 --set clip=6 --set weight_decay=0.05 --seed 5
