"""A config names the provider to a gateway that does not know it by the key."""

from django.db import migrations

import agentopt.lib.crypto


class Migration(migrations.Migration):
    dependencies = [("projects", "0003_retention")]
    operations = [
        migrations.AddField(
            model_name="connection",
            name="config",
            field=agentopt.lib.crypto.SecretField(
                blank=True,
                default="",
                help_text="Portkey config sent with model calls: an id, or JSON, which may hold keys.",
            ),
        ),
    ]
