"""`python -m data_engineering.cli`."""

from data_engineering.cli import main

main()
