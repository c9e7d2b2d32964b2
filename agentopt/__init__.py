"""agentopt: tells, from an agent's real logs, whether another model would serve it better."""

__version__ = "0.1.0"
