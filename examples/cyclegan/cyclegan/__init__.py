"""Two generators and two discriminators over (time, 40) features, trained by Lightning."""
