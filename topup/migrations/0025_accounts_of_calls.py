"""A call knows in whose name it was made."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("topup", "0024_alipay_certificate_mode")]

    operations = [
        migrations.AddField(
            "gatewaycall",
            "account",
            models.ForeignKey(
                "topup.MerchantAccount",
                django.db.models.deletion.SET_NULL,
                null=True,
                related_name="calls",
                verbose_name="merchant account",
                db_constraint=False,
                db_index=False,
                editable=False,
            ),
        ),
    ]
