"""Users, roles, keys and the operators' log in the admin; the settings of WeChat's sign-ins, and shares."""

from . import deletions, legal, log, mini_program, roles, secret_keys, users, website
