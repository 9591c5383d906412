#!/bin/sh
# Record the three sample captures, at the same time in three labs (32 minutes), or with SERIAL=1
# one after the other (95 minutes).
#
#     make_samples.sh [DIRECTORY [SECONDS [FIRST_SEED]]]
#
# The seeds are FIRST_SEED and the two after it. Needs root and the packages of packages.txt.
set -eu

lab=$(dirname "$(readlink -f "$0")")
out=${1:-$(dirname "$lab")}
seconds=${2:-1800}
seed=${3:-101}
python=${PYTHON:-python3}

labs=
trap 'for pid in $labs; do kill "$pid" 2>/dev/null || :; done; wait' EXIT
trap 'exit 130' INT TERM

one() {
    number=$1 name=$2
    shift 2
    "$python" "$lab/record.py" --seconds "$seconds" --seed "$number" --prefix "lab$number" \
        --out "$out/$name.pcap.zst" "$@" &
    labs="$labs $!"
    if [ -n "${SERIAL:-}" ]; then wait "$!"; fi
}

one "$seed" benign-train
one "$((seed + 1))" benign-holdout
one "$((seed + 2))" attacks --attacks
for pid in $labs; do wait "$pid"; done
labs=
"$python" "$lab/check.py" "$out"
