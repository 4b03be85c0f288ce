"""What calls came to by day, model and latency, for statistics and margins; filled by the clock (usage_days.py).

What is gone already is in the sums that were kept of it: those are copied. Rows that go before they were added up are
added by a trigger, whoever deletes them. While the copy is made nobody deletes old rows or writes a call's: it takes as
long as reading llm_usagesum, which is empty unless months were archived.
"""

from django.db import migrations, models
from django.db.models import Q

FORWARDS = """
LOCK TABLE llm_usage, llm_usagesum IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO llm_usagedaysummark (id, up_to_row) VALUES (1, 0);
INSERT INTO llm_usagedaysum (day, model_name, provider, operation, step, calls, failures, answered, input_tokens,
    output_tokens, quota, costed, cost)
SELECT (hour AT TIME ZONE 'Asia/Shanghai')::date, model_name, provider, operation, -1, SUM(calls), SUM(failures), 0,
    SUM(input_tokens), SUM(output_tokens), SUM(quota), SUM(costed), SUM(cost)
FROM llm_usagesum GROUP BY 1, 2, 3, 4;
CREATE FUNCTION llm_usage_goes_into_day_sums() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    mark bigint;
BEGIN
    INSERT INTO llm_usagedaysummark (id, up_to_row) VALUES (1, 0) ON CONFLICT DO NOTHING;
    SELECT up_to_row INTO mark FROM llm_usagedaysummark FOR SHARE;
    INSERT INTO llm_usagedaysum AS s (day, model_name, provider, operation, step, calls, failures, answered,
        input_tokens, output_tokens, quota, costed, cost)
    SELECT (created AT TIME ZONE 'Asia/Shanghai')::date, model_name, provider, operation,
        floor(ln(greatest(latency_ms::float8, 1.0)) * 20)::smallint, COUNT(*),
        COUNT(*) FILTER (WHERE outcome = 'failed'), COUNT(*) FILTER (WHERE outcome = 'ok'), SUM(input_tokens),
        SUM(output_tokens), SUM(quota), COALESCE(SUM(quota) FILTER (WHERE cost IS NOT NULL), 0), COALESCE(SUM(cost), 0)
    FROM gone WHERE id > mark GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (day, model_name, provider, operation, step) DO UPDATE SET
        calls = s.calls + EXCLUDED.calls, failures = s.failures + EXCLUDED.failures,
        answered = s.answered + EXCLUDED.answered, input_tokens = s.input_tokens + EXCLUDED.input_tokens,
        output_tokens = s.output_tokens + EXCLUDED.output_tokens, quota = s.quota + EXCLUDED.quota,
        costed = s.costed + EXCLUDED.costed, cost = s.cost + EXCLUDED.cost;
    RETURN NULL;
END $$;
CREATE TRIGGER usage_goes_into_day_sums AFTER DELETE ON llm_usage REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION llm_usage_goes_into_day_sums();
"""
BACKWARDS = """
DROP TRIGGER usage_goes_into_day_sums ON llm_usage;
DROP FUNCTION llm_usage_goes_into_day_sums();
"""
COUNTED = ("calls", "failures", "answered", "input_tokens", "output_tokens", "quota", "costed", "cost")


class Migration(migrations.Migration):
    dependencies = [("llm", "0026_content_safety")]

    operations = [
        migrations.CreateModel(
            name="UsageDaySum",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField(editable=False)),
                ("model_name", models.CharField(editable=False, max_length=64)),
                ("provider", models.CharField(blank=True, editable=False, max_length=16)),
                ("operation", models.CharField(editable=False, max_length=16)),
                ("step", models.SmallIntegerField(editable=False)),
                *((name, models.BigIntegerField(editable=False)) for name in COUNTED),
            ],
            options={
                "verbose_name": "usage day sum",
                "verbose_name_plural": "usage day sums",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("day", "model_name", "provider", "operation", "step"), name="usage_day_sum_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="UsageDaySumMark",
            fields=[
                (
                    "id",
                    models.PositiveSmallIntegerField(default=1, editable=False, primary_key=True, serialize=False),
                ),
                ("up_to_row", models.BigIntegerField(editable=False)),
            ],
            options={
                "verbose_name": "usage day sum mark",
                "verbose_name_plural": "usage day sum marks",
                "constraints": [models.CheckConstraint(condition=Q(id=1), name="usage_day_sum_mark_only_one")],
            },
        ),
        migrations.RunSQL(FORWARDS, BACKWARDS),
    ]
