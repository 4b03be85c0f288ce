"""Who PostgreSQL runs as: it refuses to run as root."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from voicehelper.embedded.process import EmbeddedError


@dataclass(frozen=True)
class ServerUser:
    """`prefix` goes before a command that must not see itself as root; `owner` is who its files belong to."""

    prefix: tuple[str, ...]
    owner: int

    def take(self, folder: Path) -> None:
        """Make the folder and all in it the server's own. It may have been another user's in an earlier run."""
        if folder.stat().st_uid == self.owner:
            return
        try:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, self.owner, -1, follow_symlinks=False)
        except PermissionError as error:
            raise EmbeddedError(
                f"{folder} belongs to user {folder.stat().st_uid}. Choose another folder: VOICEHELPER_DATA=…"
            ) from error


def server_user() -> ServerUser:
    """Ourselves; as root, ourselves under another number in a user namespace, or else the account `daemon`."""
    if os.geteuid():
        return ServerUser((), os.geteuid())
    for candidate in (in_a_namespace(), with_another_uid()):
        if subprocess.run([*candidate.prefix, "true"], capture_output=True, check=False).returncode == 0:
            return candidate
    raise EmbeddedError(
        "PostgreSQL refuses to run as root, and neither `unshare` nor `setpriv` (util-linux) can change that here. "
        "Work as an ordinary user, or set DATABASE_URL."
    )


def in_a_namespace() -> ServerUser:
    """The process is root outside, so every path that root may enter stays open; inside it sees itself as `daemon`."""
    uid = _account()
    return ServerUser(("unshare", "--user", f"--map-user={uid}", f"--map-group={uid}"), os.geteuid())


def with_another_uid() -> ServerUser:
    """For containers that forbid user namespaces. It keeps one right of root's: to enter our folders (say, /root)."""
    uid = _account()
    caps = "+dac_override"
    return ServerUser(
        (
            "setpriv",
            f"--reuid={uid}",
            f"--regid={uid}",
            "--clear-groups",
            f"--inh-caps={caps}",
            f"--ambient-caps={caps}",
        ),
        uid,
    )


def _account() -> int:
    """An existing account that is not root's (initdb looks it up by name): on Debian, `daemon`."""
    return next(account.pw_uid for account in pwd.getpwall() if account.pw_uid)
