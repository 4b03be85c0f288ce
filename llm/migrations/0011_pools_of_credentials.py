"""Credentials of one provider share the work: by priority, by weight, and each for the models it serves."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("llm", "0010_patience")]
    operations = [
        migrations.AddField(
            model_name='credential',
            name='priority',
            field=models.SmallIntegerField(db_default=0, default=0, help_text='The highest is asked first; others when it fails.', verbose_name='priority'),
        ),
        migrations.AddField(
            model_name='credential',
            name='weight',
            field=models.PositiveSmallIntegerField(db_default=1, default=1, help_text='Its share of the conversations among those of the same priority.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000)], verbose_name='weight'),
        ),
        migrations.AddField(
            model_name='credential',
            name='served',
            field=models.JSONField(blank=True, db_default=models.Value([], models.JSONField()), default=list, help_text='Names and wildcards (claude-*) of the models it serves; empty: all of the provider.', verbose_name='models'),
        ),
    ]
