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

# Linux can tell the test finisher of success only, so a failure goes there directly, past Linux.
status=0
[ -e /run/status ] && read -r status </run/status
[ "$1" = poweroff ] && [ "$status" -ne 0 ] && devmem 0x100000 32 $((status << 16 | 0x3333))
"$1" -f
