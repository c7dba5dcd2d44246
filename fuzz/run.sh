#!/usr/bin/env bash
# Runs fuzz targets for so many executions each, one after the other, and ends with a table of what they did.
#   fuzz/run.sh [TARGET…]      all targets where none is named
# RUNS (10,000,000) executions of each, SANITIZER (none; the crates have no unsafe code of their own, `address` checks
# what they depend on and is about ten times slower), LENGTH (1,024) octets at most. New inputs and logs go into
# fuzz/work, findings into fuzz/artifacts; a finding ends the run with status 1.
set -euo pipefail
cd "$(dirname "$0")"
runs=${RUNS:-10000000}
sanitizer=${SANITIZER:-none}
length=${LENGTH:-1024}
export RUSTC_BOOTSTRAP=1 # cargo-fuzz asks for flags of the nightly compiler; the stable one has them too

command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cargo fuzz list)

for target in "${targets[@]}"; do
    cargo fuzz build --sanitizer "$sanitizer" "$target"
done

table=()
found=0
for target in "${targets[@]}"; do
    mkdir -p "work/$target"
    log=work/$target.log
    words=()
    [ ! -f "dictionaries/$target" ] || words=(-dict="dictionaries/$target")
    echo "fuzz: $target, $runs executions, log in fuzz/$log"
    if ! cargo fuzz run --sanitizer "$sanitizer" "$target" "work/$target" "corpus/$target" -- \
        -runs="$runs" -max_len="$length" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 "${words[@]}" >"$log" 2>&1; then
        found=1
        tail -n 40 "$log" >&2
    fi
    # The last line of progress: coverage counters, and inputs that are worth keeping.
    coverage=$(grep -oE ' cov: [0-9]+' "$log" | tail -n 1 | grep -oE '[0-9]+' || echo '?')
    done_line=$(grep -E '^Done [0-9]+ runs in [0-9]+ second' "$log" || echo "Done ? runs in ? seconds")
    table+=("$(awk -v t="$target" -v c="$coverage" \
        '{ printf "%-12s %12s executions %8s s  coverage %s", t, $2, $5, c }' <<<"$done_line")")
done
printf '%s\n' "${table[@]}"
exit $found
