# Signals the processes of a step, of which $0 is the file with the leader's number, $1 that number
# where it is known by now, and $2 the signal; 0 sends none. Prints the number. Ends with status 9
# when some of them are there still. Knows nothing but what each shell has built in.
leader=$1 signal=$2 key=${0%process} left=

# The state, process group and session of a process.
look() {
    read -r line 2>/dev/null <"/proc/$1/stat" || return 1
    # The name of a program may hold whatever it likes, and is in parentheses.
    set -- ${line##*') '}
    state=$1 group=$3 session=$4
}

# Whether a process began with the names of the step's files among its variables.
is_ours() {
    word=
    while read -r word; do
        case $word in *"$key"*) return 0 ;; esac
    done 2>/dev/null <"/proc/$1/environ"
    case $word in *"$key"*) return 0 ;; esac
    return 1
}

case $leader in '') read -r leader 2>/dev/null <"$0" ;; esac
case $leader in
'' | 0* | 1 | *[!0-9]*)
    leader=
    for at in /proc/[0-9]*; do
        at=${at#/proc/}
        look "$at" || continue
        case $session in "$at") ;; *) continue ;; esac
        if is_ours "$at"; then leader=$at; fi
    done
    ;;
esac
echo "$leader"
case $leader in '') exit 0 ;; esac

# The group at once, so that no process sees another end and begins a new one.
case $signal in 0) ;; *) kill -"$signal" -"$leader" 2>/dev/null ;; esac
for at in /proc/[0-9]*; do
    at=${at#/proc/}
    look "$at" || continue
    case "$state $session" in [!XZ]" $leader") left=1 ;; *) continue ;; esac
    case "$signal $group" in
    "0 "* | *" $leader") ;;
    *) kill -"$signal" "$at" 2>/dev/null ;;
    esac
done
case $left in '') exit 0 ;; esac
exit 9
