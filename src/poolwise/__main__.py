"""`python -m poolwise` is the command line."""

from poolwise.cli.commands import main

main()
