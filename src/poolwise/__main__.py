"""`python -m poolwise` is the command line."""

from poolwise.cli.main import main

main()
