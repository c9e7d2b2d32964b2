"""Labels of people, and the anchors that tell a change of judge from one of the agent."""

import django.db.models.deletion
from django.db import migrations, models

from agentopt.lib.immutable import Immutable


class Migration(migrations.Migration):

    dependencies = [
        ('evaluation', '0005_judges'),
        ('projects', '0006_notices'),
    ]

    operations = [
        migrations.CreateModel(
            name='Anchor',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveSmallIntegerField()),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='anchors', to='projects.project')),
                ('replay', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='evaluation.replay')),
            ],
        ),
        migrations.CreateModel(
            name='AnchorVerdict',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('score', models.FloatField(help_text='in [0, 1]; null: unscored', null=True)),
                ('reason', models.CharField(blank=True, default='', help_text='code: why it is unscored', max_length=40)),
                ('cost_nanousd', models.BigIntegerField(null=True)),
                ('simulated', models.BooleanField(default=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('anchor', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='verdicts', to='evaluation.anchor')),
                ('judge', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='evaluation.judge')),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='evaluation.judgeversion')),
            ],
        ),
        migrations.CreateModel(
            name='HumanLabel',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('answer_hash', models.CharField(blank=True, default='', help_text='of the text: the label follows it; empty: it calls tools', max_length=64)),
                ('stood_left', models.BooleanField(help_text='of the two; null: it was shown alone, or not by us', null=True)),
                ('blind', models.BooleanField(help_text='the person did not see which model wrote it')),
                ('score', models.FloatField(help_text='in [0, 1]: quality as a whole')),
                ('harmful', models.BooleanField(help_text='acting on it could do harm; null: not asked', null=True)),
                ('source', models.CharField(choices=[('page', 'the labeling page'), ('api', 'sent by a program')], max_length=10)),
                ('rater', models.CharField(help_text='who, as one key: a person, or a name that a program gave', max_length=100)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='labels', to='projects.project')),
                ('replay', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='labels', to='evaluation.replay')),
                ('shown_with', models.ForeignKey(help_text='the answer beside it', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='evaluation.replay')),
            ],
        ),
        migrations.AddConstraint(
            model_name='anchor',
            constraint=models.UniqueConstraint(fields=('project', 'replay'), name='anchor_once'),
        ),
        migrations.AddConstraint(
            model_name='anchor',
            constraint=models.UniqueConstraint(fields=('project', 'position'), name='anchor_position_once'),
        ),
        migrations.AddConstraint(
            model_name='anchorverdict',
            constraint=models.UniqueConstraint(fields=('anchor', 'judge', 'version'), name='anchor_verdict_once'),
        ),
        migrations.AddIndex(
            model_name='humanlabel',
            index=models.Index(fields=['project', 'replay'], name='label_by_answer'),
        ),
        Immutable('evaluation_humanlabel'),
    ]
