# What zsh completes: complete.zsh FOLDER LINE prints the matches that _epflow of FOLDER adds, one a line. A shell of its own,
# on a terminal, is given the line and a tab; its compadd tells what it would add.
zmodload zsh/zpty
setopt extendedglob
zpty shell zsh -f -i
zpty -w shell "PS1= PS2= fpath=(${(q)1} \$fpath); autoload -Uz compinit; compinit -u -D; unsetopt zle beep; setopt zle"
zpty -w shell 'compadd() {
    if [[ -n ${@[(r)-(O|A|D)]} ]]; then builtin compadd "$@"; return; fi
    local -a hits; builtin compadd -A hits "$@"
    local hit; for hit in $hits; do print -r -- "<<$hit>>"; done
    builtin compadd "$@"
}; bindkey "^I" complete-word; print -r -- ready-to-"go"'
while zpty -r shell text; do [[ $text != *ready-to-go* ]] || break; done
zpty -w -n shell "$2"$'\t'
integer found=0 patience=40  # tenths of a second, for the first match; the others come at once
while ((patience-- > 0)); do
    while zpty -r -t shell text; do
        for hit in ${(f)text}; do
            [[ $hit != (#b)*'<<'(*)'>>'* ]] || { print -r -- $match[1]; found=1; }
        done
    done
    ((found == 0 || patience < 3)) || patience=3
    sleep 0.1
done
zpty -d shell
