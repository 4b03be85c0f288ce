"""Answers to /v1/responses, kept for their users until they expire."""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('llm', '0015_responses_api'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='KeptResponse',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.CharField(max_length=128, unique=True)),
                ('previous', models.CharField(blank=True, db_default='', default='', max_length=128)),
                ('body', models.TextField()),
                ('input', models.TextField()),
                ('item_ids', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=128), size=None)),
                ('created', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='time')),
                ('expires', models.DateTimeField(verbose_name='expires')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='kept_responses', to=settings.AUTH_USER_MODEL, verbose_name='user')),
            ],
            options={
                'verbose_name': 'kept response',
                'verbose_name_plural': 'kept responses',
                'indexes': [django.contrib.postgres.indexes.GinIndex(fields=['item_ids'], name='kept_response_items'), models.Index(fields=['expires'], name='kept_response_expires')],
            },
        ),
    ]
