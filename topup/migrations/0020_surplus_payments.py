"""A payment too many of an order is kept, and can be given back by itself."""

from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("topup", "0019_provider_certificates")]

    operations = [
        migrations.CreateModel(
            "SurplusPayment",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("transaction_id", models.CharField(editable=False, max_length=64, verbose_name="transaction")),
                ("amount_fen", models.BigIntegerField(editable=False, verbose_name="money (fen)")),
                (
                    "paid_at",
                    models.DateTimeField(
                        editable=False, help_text="By the provider's clock.", null=True, verbose_name="paid"
                    ),
                ),
                ("found_by", models.CharField(editable=False, max_length=16, verbose_name="found by")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "To be given back"),
                            ("refunded", "Given back"),
                            ("settled", "Noted as settled"),
                        ],
                        default="open",
                        editable=False,
                        max_length=8,
                        verbose_name="state",
                    ),
                ),
                ("note", models.CharField(blank=True, editable=False, max_length=300, verbose_name="note")),
                ("actor", models.CharField(blank=True, editable=False, max_length=150, verbose_name="settled by")),
                ("created", models.DateTimeField(db_default=Now(), editable=False, verbose_name="found")),
                ("ended", models.DateTimeField(editable=False, null=True, verbose_name="settled")),
                (
                    "order",
                    models.ForeignKey(
                        editable=False,
                        on_delete=models.PROTECT,
                        related_name="surplus_payments",
                        to="topup.order",
                        verbose_name="order",
                    ),
                ),
            ],
            options={
                "verbose_name": "surplus payment",
                "verbose_name_plural": "surplus payments",
                "ordering": ["pk"],
                "indexes": [models.Index(fields=["transaction_id"], name="surplus_by_transaction")],
                "constraints": [
                    models.UniqueConstraint(fields=("order", "transaction_id"), name="surplus_payment_once"),
                    models.CheckConstraint(
                        condition=models.Q(("amount_fen__gt", 0)), name="surplus_payment_positive"
                    ),
                ],
            },
        ),
        migrations.AddField(
            "refund",
            "surplus",
            models.ForeignKey(
                editable=False,
                null=True,
                on_delete=models.PROTECT,
                related_name="refunds",
                to="topup.surpluspayment",
                verbose_name="surplus payment",
            ),
        ),
    ]
