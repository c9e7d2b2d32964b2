"""Files that people upload."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0009_saved_views")]
    operations = []
