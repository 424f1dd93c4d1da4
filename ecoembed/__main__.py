"""``python -m ecoembed``: the command line."""

from ecoembed.cli import main

main()
