"""Each model's prices as rows that say the same. The old columns stay for code that reads them.

The model for pictures that came along gets those of finer and larger ones too, unless its price was changed: without
they would be refused.
"""

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
PICTURES = """
INSERT INTO llm_modelprice (model_id, kind, per, price, from_tokens, variant)
SELECT m.id, 'image', 1, row.price, 0, row.variant
FROM llm_model m CROSS JOIN (VALUES
    ('1024x1024/hd', 0.08), ('1792x1024', 0.08), ('1024x1792', 0.08), ('1792x1024/hd', 0.12), ('1024x1792/hd', 0.12)
) AS row (variant, price)
WHERE m.name = 'dall-e-3' AND m.measure = 'image' AND COALESCE(m.output_price, m.cost_per_1k) = 0.04
ON CONFLICT DO NOTHING
"""


class Migration(migrations.Migration):
    dependencies = [("llm", "0007_prices_by_kind")]
    operations = [
        migrations.RunSQL(FORWARDS, migrations.RunSQL.noop),
        migrations.RunSQL(PICTURES, migrations.RunSQL.noop),
    ]
