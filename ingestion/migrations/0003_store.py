"""Keys, hashes and spans of stored records."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0002_immutable")]
    operations = []
