"""Where a model of faces looks: three kinds of maps, and a test of whether they are right."""
