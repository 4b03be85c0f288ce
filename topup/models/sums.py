"""What the orders and refunds of a day came to: kept for days that are over, so that statistics cost by days."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class OrderDay(models.Model):
    """A Beijing day whose sums are kept (order_days.py)."""

    day = models.DateField(primary_key=True, editable=False)

    class Meta:
        verbose_name = _("order day")
        verbose_name_plural = _("order days")

    def __str__(self) -> str:
        return f"{self.day}"


class OrderDaySum(models.Model):
    """Sums of one day. `part` says of what, `detail` is an order's state, or the time to credit: see order_days.py."""

    day = models.DateField(editable=False)
    part = models.CharField(max_length=16, editable=False)
    gateway = models.CharField(max_length=16, editable=False)
    live = models.BooleanField(editable=False)
    detail = models.CharField(max_length=20, blank=True, editable=False)
    count = models.BigIntegerField(editable=False)
    fen = models.BigIntegerField(editable=False)
    waited_s = models.BigIntegerField(editable=False)

    class Meta:
        verbose_name = _("order day sum")
        verbose_name_plural = _("order day sums")
        constraints = [
            models.UniqueConstraint(fields=["day", "part", "gateway", "live", "detail"], name="order_day_sum_once")
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.part} {self.gateway} {self.detail}: {self.count}"


class OrderDayChange(models.Model):
    """An order of that day moved when the day was over: its sums may not be right. A trigger writes it, in the
    transaction that moves the order; whoever adds the day up again deletes what it saw."""

    day = models.DateField(db_index=True, editable=False)

    class Meta:
        verbose_name = _("late change of orders")
        verbose_name_plural = _("late changes of orders")

    def __str__(self) -> str:
        return f"{self.day}"
