#!/usr/bin/env bash
# The manual is what the tables say, in every form: manual.sh BUILD SOURCE
set -eu
build=$1 source=$2
epflow=$build/epflow
failed=0

fail() {
    echo "$*" >&2
    failed=1
}

# docs/reference.md is what the program prints.
"$epflow" help reference | diff -u "$source/docs/reference.md" - >&2 ||
    fail "docs/reference.md is old: $epflow help reference > docs/reference.md"

# The page for man has no line that troff complains of, and every parameter of the reference.
if command -v groff >/dev/null; then
    page=$("$epflow" help man | groff -man -Tascii -P-cbou -ww 2>&1 >"$build/share/page.txt")
    [[ -z $page ]] || fail "groff: $page"
    while read -r key; do
        grep -qE "^ +$key( |\$)" "$build/share/page.txt" || fail "the page for man does not say what $key is"
    done < <("$epflow" help reference | sed -n '/^## Parameters/,$s/^| `\([a-z_0-9]*\)` .*/\1/p')
else
    echo "groff is not here: the page for man was not looked at"
fi

# What bash completes: complete_line LINE; the words are in COMPREPLY.
# shellcheck source=/dev/null
source <("$epflow" help completion)
complete_line() {
    COMP_LINE=$1 COMP_POINT=${#1}
    read -ra COMP_WORDS <<<"${1//=/ = }"
    [[ $1 != *' ' ]] || COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _epflow
}
# shellcheck disable=SC2317 # the sourced functions call it; no completion is going on
compopt() { :; }
expect() { # LINE WORDS
    complete_line "$1"
    local words
    words=$(printf '%s\n' "${COMPREPLY[@]}" | LC_ALL=C sort | paste -sd ' ')
    [[ $words == "$2" ]] || fail "after '$1' come '$words', not '$2'"
}
cd "$source/inputs"
expect "epflow sim" "simulate"
expect "epflow --dr" "--dry-run"
expect "epflow train rin" "ring-velocity.yaml ring.yaml"
expect "epflow train ring.yaml --set network.k" "network.kind="
expect "epflow train ring.yaml --set network.kind=r" "response"
expect "epflow train ring.yaml --device cu" "cuda"
expect "epflow help refe" "reference"

# What zsh and fish complete, asked of the shells themselves; run in $source/inputs.
completes() { # SHELL LINE WORDS: the words are there, and nothing else is that begins so
    local words
    words=$("complete_$1" "$2" | LC_ALL=C sort -u | paste -sd ' ')
    [[ $words == "$3" ]] || fail "after '$2' come '$words' in $1, not '$3'"
}
# shellcheck disable=SC2317 # called by name
complete_fish() {
    fish --no-config -c "source $build/share/epflow.fish; complete -C '$1'" | cut -f1
}
# shellcheck disable=SC2317
complete_zsh() {
    zsh -f "$source/tests/install/complete.zsh" "$build/share/zsh" "$1"
}
for shell in zsh fish; do
    if ! command -v $shell >/dev/null; then
        echo "$shell is not here: what it completes was not looked at"
        continue
    fi
    [[ $shell != zsh ]] || { mkdir -p "$build/share/zsh" && "$epflow" help completion-zsh >"$build/share/zsh/_epflow"; }
    "$epflow" help completion-fish >"$build/share/epflow.fish"
    completes $shell "epflow sim" "simulate"
    completes $shell "epflow simulate --dr" "--dry-run"
    completes $shell "epflow train rin" "ring-velocity.yaml ring.yaml"
    completes $shell "epflow train ring.yaml --set network.kind=r" \
        "$([[ $shell == zsh ]] && echo response || echo network.kind=response)"
    completes $shell "epflow train ring.yaml --set simulation.burn" "simulation.burn_in="
    completes $shell "epflow train ring.yaml --device cu" "cuda"
    completes $shell "epflow help refe" "reference"
done

exit $failed
