"""Hourly and daily roll-ups."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0004_privacy"), ("projects", "0002_door_and_cache")]
    operations = [
        migrations.CreateModel(
            name='RollupState',
            fields=[
                ('project', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='rollup_state', serialize=False, to='projects.project')),
                ('form', models.PositiveSmallIntegerField(help_text='of the packed parts; another form is made anew')),
                ('watermark', models.PositiveIntegerField(default=0, help_text='every batch up to this number is in them')),
                ('seconds', models.FloatField(default=0.0, help_text='that the last refresh took')),
                ('refreshed_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='DirtyHour',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('hour', models.DateTimeField(help_text='its beginning')),
                ('marks', models.PositiveBigIntegerField(default=1)),
                ('project', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='dirty_hours', to='projects.project')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('project', 'hour'), name='dirty_hour_once')],
            },
        ),
        migrations.CreateModel(
            name='Rollup',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('tier', models.CharField(choices=[('hour', 'Hour'), ('day', 'Day'), ('bare', 'Bare')], max_length=4)),
                ('part', models.CharField(help_text='figures, products, or the metric of a sketch', max_length=20)),
                ('day', models.DateField(help_text='in UTC')),
                ('payload', models.BinaryField()),
                ('project', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='rollups', to='projects.project')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('project', 'tier', 'part', 'day'), name='rollup_once')],
            },
        ),
    ]
