"""Label an SAE's features and score the labels: `steersman label`."""
