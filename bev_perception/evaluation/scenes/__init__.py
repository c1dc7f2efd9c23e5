"""Where frame sets with ground truth come from: recordings and data sets."""
