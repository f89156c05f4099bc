# Ends the processes of a node whose supervisor was killed. Standard input is a pipe that only the supervisor holds: its
# end is the supervisor's end, however that came. Lines are "+ PID" for a process that began and "- PID" for one that ended.
pids=''
while read -r sign pid; do
  others=''
  for known in $pids; do
    [ "$known" = "$pid" ] || others="$others $known"
  done
  pids=$others
  [ "$sign" = '+' ] && pids="$pids $pid"
done

[ -n "$pids" ] && kill -TERM $pids 2>/dev/null

# Ten seconds to say good-bye to peers.
tries=50
while [ -n "$pids" ] && [ "$tries" -gt 0 ]; do
  sleep 0.2
  left=''
  for pid in $pids; do
    kill -0 "$pid" 2>/dev/null && left="$left $pid"
  done
  pids=$left
  tries=$((tries - 1))
done

[ -n "$pids" ] && kill -KILL $pids 2>/dev/null
exit 0
