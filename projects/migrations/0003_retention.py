"""How long bodies are kept."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("projects", "0002_door_and_cache")]
    operations = []
