"""How far a download is."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0007_analytics")]
    operations = []
