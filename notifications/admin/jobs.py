"""The scheduled jobs: what each is for, how it ran, when it runs again, and a button to run it now."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.text import capfirst
from django.utils.translation import gettext

from voicehelper import change_log
from voicehelper.admin.base import OnePageAdmin, list_url, may, url_name
from voicehelper.admin.front_page import OpenMatter

from ..job_list import lines, standstill
from ..job_names import name_of
from ..job_runs import NotRun, run_now
from ..jobs import late
from ..models import JobRun


@admin.register(JobRun)
class JobRunAdmin(OnePageAdmin):
    """The list's address is the table of the whole schedule."""

    has_form = False

    def get_urls(self) -> list[URLPattern]:
        run = path("<slug:name>/run/", self.admin_site.admin_view(self.run_view), name=url_name(self, "run"))
        return [run, *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """Where the log leads: the job's line."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return HttpResponseRedirect(f"{list_url(JobRun)}#{object_id}")

    def show(self, request: HttpRequest) -> HttpResponse:
        jobs = lines()
        context = {
            "title": capfirst(str(self.opts.verbose_name_plural)),
            "jobs": jobs,
            "standstill": standstill(jobs),
            "may_run": may(request, JobRun, "change"),
        }
        return self.page(request, "admin/notifications/jobs.html", context)

    def run_view(self, request: HttpRequest, name: str) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not may(request, JobRun, "change"):
            raise PermissionDenied
        if name not in {job.name for job in lines()}:
            raise Http404
        title = str(name_of(name).title)
        try:
            run_now(name)
        except NotRun as refused:
            messages.error(request, gettext("%(job)s: %(why)s") % {"job": title, "why": refused})
        else:
            change_log.write(JobRun(name=name), (), by=request.user, text=gettext("Run now"))
            messages.success(request, gettext("%(job)s is in the queue.") % {"job": title})
        return HttpResponseRedirect(f"{list_url(JobRun)}#{name}")


def late_jobs(request: HttpRequest) -> list[OpenMatter]:
    """For the front page."""
    if not may(request, JobRun, "view"):
        return []
    return [OpenMatter(gettext("Scheduled jobs that are late"), len(late()), list_url(JobRun), "danger")]
