# The last act of the first process: let go of the disks, then ask the kernel for $1, poweroff or reboot.

disks=
while read -r device where _; do
    case $device in
    /dev/*) disks="$where $disks" ;;
    esac
done </proc/mounts
if [ "$disks" ]; then
    kill -KILL -1
    for where in $disks; do
        where=$(printf '%b' "$where")
        umount "$where" || usleep 50000 && umount -r "$where"
    done 2>/dev/null
    sync
fi

# The end of a command goes to the test finisher directly, past Linux: Linux knows success alone, and would print a line
# that is no output of the command.
if [ "$1" = poweroff ] && [ -e /run/status ]; then
    read -r status </run/status
    [ "$status" -eq 0 ] && word=$((0x5555)) || word=$((status << 16 | 0x3333))
    devmem 0x100000 32 $word
fi
"$1" -f
