"""Users, roles, keys and the operators' log in the admin; the mini program's settings and shares."""

from . import log, mini_program, roles, secret_keys, users
