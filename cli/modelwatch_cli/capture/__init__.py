"""What an operator hands to capture: labels from files."""
