#!/bin/sh
# The first process of hypernest's Debian guest: sets the machine up, starts the session, powers off when told.
# Every program started costs a millisecond or so of boot: what the shell can do itself, it does.
#
# Kernel command line: console=ttyS0|hvc0, hypernest.console=ttyS0|hvc0 (for the session alone, not for the kernel),
# hypernest.size=COLUMNSxROWS, hypernest.term=NAME.

export PATH=/bin HOME=/root TERM=linux

mount -a
mkdir /dev/pts
mount -t devpts none /dev/pts
read -r hostname </etc/hostname
echo "$hostname" >/proc/sys/kernel/hostname

console=ttyS0 size=
read -r line </proc/cmdline
for word in $line; do
    case $word in
    console=*) console=${word#console=} console=${console%%,*} ;;
    hypernest.console=*) console=${word#hypernest.console=} ;;
    hypernest.size=*) size=${word#hypernest.size=} ;;
    hypernest.term=*) TERM=${word#hypernest.term=} ;;
    esac
done

# The drivers for what is on the virtio bus, once the bus itself has a driver.
for file in /sys/bus/platform/devices/*/modalias; do
    read -r alias <"$file"
    case $alias in
    *virtio,mmio*) modprobe virtio_mmio && break ;;
    esac
done
drivers=
for file in /sys/bus/virtio/devices/*/modalias; do
    [ -e "$file" ] && read -r alias <"$file" && drivers="$drivers $alias"
done
[ "$drivers" ] && modprobe -qa $drivers

[ -c "/dev/$console" ] || console=console
[ "$size" ] && stty cols "${size%x*}" rows "${size#*x}" <"/dev/$console"

# The `poweroff`, `reboot` and `halt` of busybox send these signals to the first process.
trap 'exec sh /etc/shutdown poweroff' USR1 USR2
trap 'exec sh /etc/shutdown reboot' TERM

# A leader of a session that calls setsid must fork, so the inner setsid does and the outer ends at once. Starting the
# session with `&` instead would have it ignore Ctrl-C for good.
setsid setsid -c sh /etc/session <>"/dev/$console" >&0 2>&1

# Waiting for a child, unlike any other way to wait, lets signals in and buries orphans.
while :; do
    sleep 1000000 &
    wait $!
done
