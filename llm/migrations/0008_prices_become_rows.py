"""Each model's prices as rows that say the same: no charge changes. The old columns stay for code that reads them."""

from django.db import migrations

FORWARDS = """
INSERT INTO llm_modelprice (model_id, kind, per, price, from_tokens, variant)
SELECT m.id, row.kind, row.per, COALESCE(row.price, m.cost_per_1k), 0, ''
FROM llm_model m CROSS JOIN LATERAL (VALUES
    ('1k_tokens', 'input', 1000, m.input_price),
    ('1k_tokens', 'output', 1000, m.output_price),
    ('1k_characters', 'character', 1000, m.input_price),
    ('second', 'second', 1, m.input_price),
    ('image', 'image', 1, m.output_price)
) AS row (measure, kind, per, price)
WHERE row.measure = m.measure
ON CONFLICT DO NOTHING
"""


class Migration(migrations.Migration):
    dependencies = [("llm", "0007_prices_by_kind")]
    operations = [migrations.RunSQL(FORWARDS, migrations.RunSQL.noop)]
