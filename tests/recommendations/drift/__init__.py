"""Drift: detectors, the monitor, alerts and their pages."""
