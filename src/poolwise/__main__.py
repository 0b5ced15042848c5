"""`python -m poolwise` is the command line."""

from poolwise.cli import main

main()
