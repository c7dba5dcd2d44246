#!/usr/bin/env bash
# java-home.sh MIN MAX: prints the folder of a JDK whose major version is from MIN to MAX, the newest first; fails when there is none.
# Looks at JAVA_HOME, at the usual folder of JVMs and at `java` on the PATH. A JDK (with a compiler), not a mere runtime.
set -euo pipefail
min=$1 max=$2

candidates() {
    [ -z "${JAVA_HOME:-}" ] || echo "$JAVA_HOME"
    ls -d /usr/lib/jvm/*/ 2>/dev/null || true
    if command -v java >/dev/null; then dirname "$(dirname "$(readlink -f "$(command -v java)")")"; fi
}

# Prints "MAJOR FOLDER" for each JDK that fits.
fitting() {
    local folder major
    while read -r folder; do
        [ -x "$folder/bin/javac" ] || continue
        major=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$folder/release" 2>/dev/null)
        if [ -n "$major" ] && [ "$major" -ge "$min" ] && [ "$major" -le "$max" ]; then echo "$major ${folder%/}"; fi
    done
}

best=$(candidates | fitting | sort -rn | head -n 1)
[ -n "$best" ] || { echo "no JDK of version $min to $max in JAVA_HOME, /usr/lib/jvm or on the PATH" >&2; exit 1; }
echo "${best#* }"
