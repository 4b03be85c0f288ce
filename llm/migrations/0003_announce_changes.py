"""PostgreSQL tells every process when what can be asked for changes: accounts, models, prices, fallbacks."""

from django.db import migrations

FORWARDS = """
CREATE TRIGGER credential_changed AFTER INSERT OR DELETE OR UPDATE ON llm_credential
    FOR EACH STATEMENT EXECUTE FUNCTION voicehelper_announce();
CREATE TRIGGER model_changed AFTER INSERT OR DELETE OR UPDATE ON llm_model
    FOR EACH STATEMENT EXECUTE FUNCTION voicehelper_announce();
CREATE TRIGGER fallbacks_changed AFTER INSERT OR DELETE OR UPDATE ON llm_model_fallbacks
    FOR EACH STATEMENT EXECUTE FUNCTION voicehelper_announce();
"""
BACKWARDS = """
DROP TRIGGER fallbacks_changed ON llm_model_fallbacks;
DROP TRIGGER model_changed ON llm_model;
DROP TRIGGER credential_changed ON llm_credential;
"""


class Migration(migrations.Migration):
    dependencies = [("llm", "0002_seed_models"), ("accounts", "0003_announce_changes")]
    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
