"""The operating-system user that PostgreSQL runs as: ourselves, or, for root, a user of its own.

PostgreSQL refuses to run as root. Folders on the way to what it needs get search permission
(``x``) for others where they lack it, never read permission; the data folder itself stays 0700.
"""

from __future__ import annotations

import logging
import os
import pwd
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_engineering.model.errors import DatabaseRefused

NAME = "lascopf"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SystemUser:
    """Who runs the server; `switch` says whether we must change to that user."""

    uid: int
    gid: int
    switch: bool

    def run(
        self, command: Sequence[str], folder: Path, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run a program as this user in `folder`; its output is returned, not raised."""
        return subprocess.run(  # noqa: S603 - fixed programs of the installed wheel
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env=os.environ | {"LC_ALL": "C"},
            check=False,
            user=self.uid if self.switch else None,
            group=self.gid if self.switch else None,
            extra_groups=[] if self.switch else None,
        )

    def own(self, folder: Path) -> None:
        """Make `folder` private to this user, and reachable for it."""
        folder.mkdir(mode=0o700, exist_ok=True)
        if self.switch:
            os.chown(folder, self.uid, self.gid)
            self.let_through(folder)
        folder.chmod(0o700)

    def let_through(self, path: Path) -> None:
        """Give others search permission on the folders above `path` that lack it."""
        for parent in path.resolve().parents if self.switch else ():
            status = parent.stat()
            if status.st_uid != self.uid and not status.st_mode & stat.S_IXOTH:
                _log.warning("user %s may now pass through %s (not list it)", NAME, parent)
                parent.chmod(stat.S_IMODE(status.st_mode) | stat.S_IXOTH)


def server_user() -> SystemUser:
    """The user that runs the embedded server; root gets a system user `lascopf`.

    Raises:
        DatabaseRefused: we are root and the user cannot be made.
    """
    if os.geteuid() != 0:
        return SystemUser(os.geteuid(), os.getegid(), switch=False)
    try:
        entry = pwd.getpwnam(NAME)
    except KeyError:
        entry = _create()
    return SystemUser(entry.pw_uid, entry.pw_gid, switch=True)


def _create() -> pwd.struct_passwd:
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir"]
    command += ["/nonexistent", "--shell", "/usr/sbin/nologin", NAME]
    try:
        made = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        reason = made.stderr.strip().replace("\n", " ")
    except FileNotFoundError:
        reason = "there is no program useradd"
    try:
        return pwd.getpwnam(NAME)  # another process may have been faster than our useradd
    except KeyError:
        raise DatabaseRefused(
            "embedded PostgreSQL",
            f"it does not run as root, and user {NAME} cannot be made: {reason}",
            "run as an ordinary user or create that system user",
        ) from None
