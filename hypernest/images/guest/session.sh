# What the guest does at its console: a shell, or one command if there is one to execute; then the power goes off.
#
# /hypernest/exec: the command; its exit status goes to /run/status, from where /etc/shutdown hands it out.
# /hypernest/exact: its output must leave byte for byte, without the terminal's newline translation and echo. Where it
# begins is marked by the text of initramfs.READY; before, no input must come, because it would be echoed. The input may
# hold every byte, so Ctrl-S does not stop the output.

cd /root
if [ -e /hypernest/exec ]; then
    # Not even the kernel's farewell may come between the command's output and its reader.
    echo 0 >/proc/sys/kernel/printk
    [ -e /hypernest/exact ] && stty -opost -echo -ixon && printf '\033_ready\033\\'
    sh /hypernest/exec
    echo $? >/run/status
    # Changing the settings of a terminal waits until everything written has left.
    stty opost
else
    read -r _ _ release _ </proc/version
    set -- /sys/devices/system/cpu/cpu[0-9]*
    echo "Linux $release, harts: $#. 'poweroff' or Ctrl-D ends it."
    sh
fi
kill -USR2 1
