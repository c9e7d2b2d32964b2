"""Template filters: dollars, percent, duration, p-value."""

from django import template

register = template.Library()
