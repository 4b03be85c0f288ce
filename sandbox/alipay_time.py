"""Alipay's times: Beijing's, as text, and how long something lives, as "90m" or "1c"."""

import re
from datetime import datetime, timedelta

from .base import BEIJING, Refusal

LONGEST_TIMEOUT = timedelta(days=15)


def moment(text: str) -> datetime | None:
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", text, re.ASCII):
            return None
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=BEIJING)
    except ValueError:
        return None


def text_of(moment: datetime | None) -> str:
    return f"{moment.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}" if moment else ""


def timeout(text: str, now: datetime, name: str) -> timedelta:
    """1m to 15d; 1c ends with the Beijing day."""
    units = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
    if text == "1c":
        today = now.astimezone(BEIJING).replace(hour=0, minute=0, second=0, microsecond=0)
        return today + timedelta(days=1) - now
    if re.fullmatch(r"[1-9][0-9]{0,4}[mhd]", text):
        life = int(text[:-1]) * units[text[-1]]
        if life <= LONGEST_TIMEOUT:
            return life
    raise Refusal("ACQ.INVALID_PARAMETER", f"参数无效：{name}应为1m到15d的整数")
