"""What a model says of images, films and a gallery: ``mobilevision predict`` and ``mobilevision.load``."""
