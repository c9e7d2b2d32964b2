"""The open-source Portkey gateway from npm: a second, independent check of the path of model calls."""
