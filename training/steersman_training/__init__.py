"""What makes a bundle: harvest, train, evaluate, label."""
