"""SageMaker Model Monitor's captured data: carried out in its form, and brought in from it."""
