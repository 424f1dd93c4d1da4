"""How far a prediction holds: its interval, the area of applicability, and what the model leans on."""
