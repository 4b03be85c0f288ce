#!/usr/bin/env python
"""Django's command line. Finds the services of a running `make run` through $VOICEHELPER_DATA/env."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voicehelper.settings")
    # A report or a migration may take as long as it takes.
    os.environ["DATABASE_STATEMENT_SECONDS"] = "0"
    execute_from_command_line(sys.argv)
