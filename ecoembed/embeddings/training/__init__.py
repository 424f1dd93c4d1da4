"""Training of both encoders: places and their crops, what is hidden and asked of them, the stages, one loop."""
