"""Questions that people keep."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0008_sync")]
    operations = []
