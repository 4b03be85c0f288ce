"""What the jobs of the schedule (voicehelper/schedule.py) are called, and what each is for, in a sentence."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class JobName:
    """A job's name for people, and its purpose."""

    title: Any
    purpose: Any


_NAMES: Mapping[str, JobName] = {
    "close_expired_orders": JobName(
        _("Close expired orders"),
        _("Asks the provider about orders whose time is up, credits what was paid and closes the rest."),
    ),
    "deliver_alerts": JobName(_("Deliver alerts"), _("Sends alerts to their channels, and sees which jobs are late.")),
    "check_room": JobName(_("Look for room"), _("Warns before database sessions or the disk of files run out.")),
    "deliver_mails": JobName(_("Deliver mail to users"), _("Sends mail to users, like links for a new password.")),
    "settle_unknown_refunds": JobName(
        _("Settle refunds"), _("Asks the provider about refunds whose outcome nobody knows yet.")
    ),
    "reconcile": JobName(_("Reconcile"), _("Compares yesterday’s orders with the payment platforms’ bills.")),
    "audit": JobName(_("Audit what is new"), _("Proves that balances equal the sum of new entries.")),
    "audit_in_full": JobName(_("Audit everything"), _("Proves it for the whole ledger and its chain.")),
    "warn_of_expiry": JobName(_("Warn of expiry"), _("Warns thirty days before a merchant certificate expires.")),
    "refresh_certificates": JobName(
        _("Fetch platform certificates"), _("Fetches WeChat Pay’s certificates, with which its notices are verified.")
    ),
    "forget_rejected_notices": JobName(_("Forget rejected notices"), _("Deletes notices that were refused long ago.")),
    "forget_old_mails": JobName(_("Forget old mail"), _("Deletes what is known of mail to users after thirty days.")),
    "forget_expired_responses": JobName(
        _("Forget old responses"), _("Deletes answers of /v1/responses that were kept long enough.")
    ),
    "archive_logs": JobName(
        _("Archive old rows"), _("Moves old months of usage, notices and calls into files, as the retention says.")
    ),
    "sweep_files": JobName(
        _("Tidy up files"), _("Removes what uploads that broke left behind, and compares the rows with their store.")
    ),
    "reap_holds": JobName(_("Release old holds"), _("Gives back quota that a call reserved and never settled.")),
    "settle_orphaned_answers": JobName(
        _("Settle broken answers"), _("Charges answers of the chat whose server died while it wrote them.")
    ),
    "delete_accounts": JobName(
        _("Delete accounts"), _("Forgets the users who asked for it a week ago; the books stay without their names.")
    ),
    "forget_ended_sessions": JobName(
        _("Forget ended sessions"), _("Deletes what is known of browsers long signed out.")
    ),
    "sweep_exports": JobName(
        _("Make copies of data"), _("Begins copies of their data that users asked for again, and deletes old ones.")
    ),
    "add_up_days": JobName(_("Add up days"), _("Sums calls, spending and orders by day, for statistics.")),
    "tell_of_low_balances": JobName(
        _("Tell of low balances"), _("Mails users whose balance fell to the amount they chose.")
    ),
    "arrange_old_messages": JobName(
        _("Arrange old messages"), _("Puts messages of older releases into branches, and indexes them for the search.")
    ),
    "rotate_secrets": JobName(
        _("Encrypt secrets anew"), _("Goes on with encrypting secrets with the newest key, once somebody began it.")
    ),
    "sandbox_deliver": JobName(_("Stand-ins’ notices"), _("Lets the stand-ins of the demo send their notices.")),
}


def name_of(job: str) -> JobName:
    """Of one that nobody has named: what the schedule calls it."""
    return _NAMES.get(job, JobName(job, ""))
