# Keeps the shared PostgreSQL for as long as anybody needs it, then stops it and removes its folder.
#   sh -c <this> keep FIFO DIR SERVER
# Standard input is the reading end of FIFO: every user holds the writing end open, and writes one line with the
# process id of its test runner. Standard output is the server's lifeline.
fifo=$1
dir=$2
server=$3

lives() {
    kill -0 "$1" 2>/dev/null || [ -d "/proc/$1" ]
}

runners=
idle=0
while [ "$idle" -lt 6000 ]; do
    # Ends when there are no users. Between two test processes of one run there are none either, so the runner
    # counts too; not for longer than ten minutes.
    while read -r runner; do
        case " $runners " in
        *" $runner "*) ;;
        *) runners="$runners $runner" ;;
        esac
        idle=0
    done
    needed=
    for runner in $runners; do
        if lives "$runner"; then needed=yes; fi
    done
    [ -n "$needed" ] || break
    idle=$((idle + 1))
    sleep 0.1
done

# From here on nobody can join. Those who did in this moment are served to their end.
rm -f "$fifo"
while read -r runner; do :; done

exec >&-
tries=0
while lives "$server" && [ "$tries" -lt 100 ]; do
    tries=$((tries + 1))
    sleep 0.05
done
rm -rf "$dir"
