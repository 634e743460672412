"""What the GSTRIDE register teaches: families of classifiers, nested folds, figures, pictures."""
