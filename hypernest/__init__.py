"""hypernest: a virtual machine monitor that people program in Python."""
