# Runs one server that must not outlive its owner.
#   sh -c <this> supervise SIGNAL PROGRAM ARGUMENTS...
# Standard input is a pipe that the owner holds open and never writes to: its end is the owner's end. Standard
# output says the server's process id and closes; everything the server prints goes to standard error.
signal=$1
shift
exec 3<&0
"$@" </dev/null >&2 3<&- &
server=$!
echo "$server"
exec >&-
(
    read -r _ <&3
    kill -s "$signal" "$server"
    tries=0
    while [ "$tries" -lt 20 ] && kill -0 "$server"; do
        tries=$((tries + 1))
        sleep 0.1
    done
    kill -s KILL "$server"
) 2>/dev/null &
watcher=$!
exec 3<&-
wait "$server"
status=$?
kill -s KILL "$watcher" 2>/dev/null
# Nobody else would collect it where process 1 does not.
wait "$watcher" 2>/dev/null
exit "$status"
