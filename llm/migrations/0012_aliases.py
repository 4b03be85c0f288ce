"""Names that lead to models. PostgreSQL tells every process when they change, see 0003."""

import django.db.models.deletion
from django.db import migrations, models

import llm.models

FORWARDS = """
CREATE TRIGGER alias_changed AFTER INSERT OR DELETE OR UPDATE ON llm_alias
    FOR EACH STATEMENT EXECUTE FUNCTION voicehelper_announce();
"""
BACKWARDS = "DROP TRIGGER alias_changed ON llm_alias;"


class Migration(migrations.Migration):
    dependencies = [("llm", "0011_pools_of_credentials")]
    operations = [
        migrations.CreateModel(
            name='Alias',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('pattern', models.CharField(max_length=128, unique=True, verbose_name='name asked for')),
                ('provider', models.CharField(blank=True, choices=llm.models.provider_choices, max_length=16, verbose_name='provider')),
                ('shown', models.BooleanField(default=False, verbose_name='shown in /v1/models')),
                ('model', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='aliases', to='llm.model', verbose_name='model')),
            ],
            options={
                'verbose_name': 'alias',
                'verbose_name_plural': 'aliases',
                'ordering': ['pattern'],
                'constraints': [models.CheckConstraint(condition=models.Q(('model', None), ('provider', ''), _connector='XOR'), name='alias_of_model_or_provider', violation_error_message='Choose a model, or a provider whose best model is meant.')],
            },
        ),
        migrations.RunSQL(FORWARDS, BACKWARDS),
    ]
