"""Export to and import from SageMaker Model Monitor's captured data."""
