"""TensorFlow, Horovod, Petastorm and MLflow: from an example set to a registered model and its scores. Never Spark."""
