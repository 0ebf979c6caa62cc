"""Captured rows and labels on S3: their layout, Parquet form and profiles, and merging them."""
