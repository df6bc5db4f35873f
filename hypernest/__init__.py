"""hypernest: a virtual machine monitor that people program in Python."""

__version__ = "0.1.0"
