"""What a month on AWS costs, by AWS's list prices."""
