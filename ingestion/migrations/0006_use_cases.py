"""Use cases and which call belongs to which."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0005_rollups"), ("projects", "0001_initial")]
    operations = [
        migrations.CreateModel(
            name='UseCase',
            fields=[
                ('id', models.AutoField(primary_key=True, serialize=False)),
                ('number', models.PositiveIntegerField(help_text='its label: stays when clustering runs again')),
                ('origin', models.CharField(choices=[('found', 'found in what is asked'), ('given', 'named by the logs')], max_length=5)),
                ('given_name', models.CharField(blank=True, default='', help_text='what the logs call it', max_length=128)),
                ('name', models.CharField(max_length=80)),
                ('named_by_hand', models.BooleanField(default=False)),
                ('terms', models.JSONField(default=list, help_text='words that set it apart, each out of several conversations')),
                ('retired_at', models.DateTimeField(help_text='when clustering no longer found it', null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('merged_into', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='merged', to='ingestion.usecase')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='use_cases', to='projects.project')),
                ('split_from', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='ingestion.usecase')),
            ],
        ),
        migrations.CreateModel(
            name='UseCaseFit',
            fields=[
                ('id', models.AutoField(primary_key=True, serialize=False)),
                ('number', models.PositiveIntegerField()),
                ('seed', models.PositiveBigIntegerField(default=0)),
                ('watermark', models.PositiveIntegerField(help_text='newest batch when the sample was drawn')),
                ('n_texts', models.PositiveIntegerField(help_text='size of the sample; 0: nothing to cluster')),
                ('clusters', models.JSONField(default=list, help_text='id of the use case of each cluster, by its place')),
                ('figures', models.JSONField(default=dict, help_text='criterion by number of clusters, distances, agreement')),
                ('model', models.BinaryField(help_text='vocabulary, space and centres; null once newer fits stand', null=True)),
                ('only', models.JSONField(default=list, help_text='a split under way: the use case whose calls are assigned anew')),
                ('reached', models.BigIntegerField(default=0, help_text='every batch up to this number is assigned by this fit')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='use_case_fits', to='projects.project')),
            ],
        ),
        migrations.CreateModel(
            name='UseCaseAssignment',
            fields=[
                ('record', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='assignment', serialize=False, to='ingestion.logrecord')),
                ('use_case', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='assignments', to='ingestion.usecase')),
                ('fit', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='ingestion.usecasefit')),
            ],
        ),
        migrations.AddConstraint(
            model_name='usecase',
            constraint=models.UniqueConstraint(fields=('project', 'number'), name='use_case_number_once'),
        ),
        migrations.AddConstraint(
            model_name='usecase',
            constraint=models.UniqueConstraint(condition=models.Q(('origin', 'given')), fields=('project', 'given_name'), name='given_use_case_once'),
        ),
        migrations.AddConstraint(
            model_name='usecase',
            constraint=models.UniqueConstraint(condition=models.Q(('merged_into__isnull', True), ('retired_at__isnull', True)), fields=('project', 'name'), name='use_case_name_once'),
        ),
        migrations.AddConstraint(
            model_name='usecasefit',
            constraint=models.UniqueConstraint(fields=('project', 'number'), name='use_case_fit_number_once'),
        ),
        migrations.AddIndex(
            model_name='usecaseassignment',
            index=models.Index(fields=['use_case', 'record'], name='assignment_by_use_case'),
        ),
    ]
